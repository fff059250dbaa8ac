//! A decoded picture and the limit on its size.

use crate::orientation::Orientation;

/// 8-bit RGB, row-major: `data.len() == width * height * 3`.
pub struct Picture {
    pub width: usize,
    pub height: usize,
    pub data: Vec<u8>,
}

/// What a format's decoder gives; [`crate::image_decoder`] finishes it.
pub struct Decoded {
    pub picture: Picture,
    pub turn: Orientation,
}

/// Refuses sizes that no file should ask memory for. Called before anything
/// is allocated for the pixels.
pub fn check_size(width: usize, height: usize, max_pixels: usize) -> Result<(), String> {
    if width == 0 || height == 0 {
        return Err(format!("its size is {width}x{height}"));
    }
    match width.checked_mul(height) {
        Some(pixels) if pixels <= max_pixels => Ok(()),
        _ => Err(format!(
            "its size is {width}x{height}, at most {max_pixels} pixels are allowed"
        )),
    }
}

/// An empty buffer with room for `len` bytes, or an error where memory is
/// short (never an abort).
pub fn try_reserve(len: usize) -> Result<Vec<u8>, String> {
    let mut data = Vec::new();
    data.try_reserve_exact(len)
        .map_err(|_| format!("there is no memory for its {len} bytes of pixels"))?;
    Ok(data)
}

/// As [`try_reserve`], filled with zeros.
pub fn try_zeroed(len: usize) -> Result<Vec<u8>, String> {
    let mut data = try_reserve(len)?;
    data.resize(len, 0);
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_size_refuses_what_is_empty_or_too_large() {
        assert!(check_size(0, 5, 100).is_err());
        assert!(check_size(10, 10, 100).is_ok());
        assert!(check_size(10, 11, 100).is_err());
        assert!(check_size(usize::MAX, 2, usize::MAX).is_err());
    }

    #[test]
    fn try_zeroed_reports_what_cannot_be_had() {
        assert_eq!(try_zeroed(3).unwrap(), [0, 0, 0]);
        assert!(try_zeroed(isize::MAX as usize).is_err());
    }
}
