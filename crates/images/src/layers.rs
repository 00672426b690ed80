//! Unpacked layers.

/// The most layers of an image, as Docker's overlay2 driver has it.
pub(crate) const MAX_LAYERS: usize = 127;
