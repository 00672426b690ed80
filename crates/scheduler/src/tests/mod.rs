mod lab;
mod placement;
mod random;
