//! Real containers with a busybox root. Needs root and `/bin/busybox` (Debian: busybox-static). Everything is removed
//! at the end, also when a test fails.

mod create;
mod life;
mod restart;
mod support;
mod tasks;
mod volumes;
