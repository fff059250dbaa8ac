//! Kernels of the WASM device: one file for each operation, on slices, and the
//! command queue that runs them. Only `exports*.rs`, `command.rs` and
//! `rows.rs` touch raw memory.
#![cfg_attr(target_arch = "wasm32", no_std)]
#![cfg_attr(
    all(target_arch = "wasm32", target_feature = "atomics"),
    feature(stdarch_wasm_atomic_wait)
)]

mod altup;
mod append_kv;
mod argmax;
mod attention;
mod attention_rows;
mod avg_pool2d;
mod bits;
mod bounds;
mod bytes;
mod command;
#[cfg(target_arch = "wasm32")]
mod constant;
mod conv2d;
mod conv2d_quantized;
mod copy_columns;
mod cumulative_group_norm;
mod depthwise_conv2d;
mod dispatch_elements;
mod dispatch_media;
mod dispatch_media_quantized;
mod dispatch_pack;
mod dispatch_quantized;
mod dispatch_text;
mod dispatch_tokens;
mod elementwise;
mod embedding;
mod embedding_quantized;
pub mod exports;
pub mod exports_quantized;
#[cfg(any(target_feature = "atomics", not(target_arch = "wasm32")))]
pub mod exports_threads;
mod form;
#[cfg(any(target_feature = "relaxed-simd", test))]
mod form_relaxed;
mod gated_matmul;
mod gather_rows;
mod gaussian_top_k;
mod half;
mod kv_store;
mod match_magnitude;
mod math;
mod matmul;
mod matmul_panels;
mod matmul_quantized;
mod matmul_rows;
mod multi_query_attention_quantized;
mod pack;
mod pack_quantized;
mod pack_tile;
mod packing;
mod panel;
mod picture;
#[cfg_attr(not(target_feature = "relaxed-simd"), path = "products_plain.rs")]
#[cfg_attr(target_feature = "relaxed-simd", path = "products_relaxed.rs")]
mod products;
mod quantize_rows;
mod quantize_weights;
mod quantized;
mod reduce;
mod relative_attention;
mod resize;
mod rms_norm;
mod rope;
mod rows;
mod scale;
#[cfg(any(target_feature = "atomics", not(target_arch = "wasm32")))]
mod schedule;
mod simd;
#[cfg(test)]
mod testing;
mod tile;

#[cfg(target_arch = "wasm32")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}
