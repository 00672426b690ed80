mod lab;
mod many;
mod placement;
mod plain;
mod preferences;
mod random;
mod same;
