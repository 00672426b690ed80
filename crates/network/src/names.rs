//! How this process looks names up.

use std::ffi::CStr;

/// Databases of names that this process asks, and who answers: what is built into the C library.
#[cfg(target_env = "gnu")]
const SERVICES: [(&CStr, &CStr); 3] = [
    (c"hosts", c"files dns"),
    (c"passwd", c"files"),
    (c"group", c"files"),
];

/// Makes name look-ups use only what is linked into this program. Call it before the first look-up.
///
/// A statically linked glibc otherwise loads the modules that `/etc/nsswitch.conf` names (systemd's, for instance), and
/// with them a second C library: the process crashes.
pub fn use_linked_services_only() {
    #[cfg(target_env = "gnu")]
    for (database, services) in SERVICES {
        // SAFETY: both are strings that end with a zero byte; glibc copies what it keeps.
        let refused = unsafe { __nss_configure_lookup(database.as_ptr(), services.as_ptr()) };
        assert_eq!(refused, 0, "glibc knows the database {database:?}");
    }
}

#[cfg(target_env = "gnu")]
unsafe extern "C" {
    /// Declared in glibc's `nss.h`.
    fn __nss_configure_lookup(
        database: *const std::ffi::c_char,
        services: *const std::ffi::c_char,
    ) -> std::ffi::c_int;
}
