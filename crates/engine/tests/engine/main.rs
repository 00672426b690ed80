//! Real containers with a busybox root. Needs root and `/bin/busybox` (Debian: busybox-static). Everything is removed
//! at the end, also when a test fails.

mod create;
mod health;
mod life;
mod options;
mod pulls;
mod restart;
mod secrets;
mod support;
mod tasks;
mod volumes;
