mod guards;
mod payloads;
mod random;
mod reads;
mod services;
