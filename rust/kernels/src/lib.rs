//! Kernels of the WASM device: one file for each operation, on slices, and the
//! command queue that runs them. Only `exports.rs`, `command.rs` and `rows.rs`
//! touch raw memory.
#![cfg_attr(target_arch = "wasm32", no_std)]

mod altup;
mod append_kv;
mod attention;
mod avg_pool2d;
mod bounds;
mod command;
mod conv2d;
mod copy_columns;
mod cumulative_group_norm;
mod depthwise_conv2d;
mod dispatch_elements;
mod dispatch_media;
mod dispatch_text;
mod elementwise;
mod embedding;
pub mod exports;
mod gather_rows;
mod gaussian_top_k;
mod match_magnitude;
mod math;
mod matmul;
mod pack;
mod picture;
mod reduce;
mod relative_attention;
mod resize;
mod rms_norm;
mod rope;
mod rows;
mod simd;
#[cfg(test)]
mod testing;
mod tile;

#[cfg(target_arch = "wasm32")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}
