//! The agent against a dispatcher of our own over loopback, with an executor and a journal in memory.

mod dispatcher;
mod fakes;
mod journal;
mod logs;
mod session;
mod tasks;
