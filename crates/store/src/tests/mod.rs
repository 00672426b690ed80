mod guards;
mod random;
mod reads;
