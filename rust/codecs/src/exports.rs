//! What JavaScript sees of both modules.

use wasm_bindgen::prelude::wasm_bindgen;

/// Bytes of memory in use; it never shrinks while an instance lives.
#[wasm_bindgen(js_name = memoryBytes)]
pub fn memory_bytes() -> f64 {
    #[cfg(target_arch = "wasm32")]
    return core::arch::wasm32::memory_size(0) as f64 * 65536.0;
    #[cfg(not(target_arch = "wasm32"))]
    return 0.0;
}
