mod lab;
mod placement;
mod plain;
mod preferences;
mod random;
mod same;
