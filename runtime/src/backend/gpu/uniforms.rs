//! The params of all ops of a submit, in one uniform buffer that is written once and bound at a
//! dynamic offset per dispatch.

use super::context::Context;

/// Bytes that a binding of params spans; every params struct fits.
pub(super) const PARAMS_BYTES: u64 = 64;
/// Dispatches that one submit holds at most.
const SLOTS: usize = 1024;

pub(super) struct Uniforms {
    pub buffer: wgpu::Buffer,
    stride: usize,
    bytes: Vec<u8>,
}

impl Uniforms {
    pub(super) fn new(ctx: &Context) -> Uniforms {
        let align = ctx.device.limits().min_uniform_buffer_offset_alignment as usize;
        let stride = align.max(PARAMS_BYTES as usize);
        let buffer = ctx.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("params"),
            size: (stride * SLOTS) as u64,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        Uniforms { buffer, stride, bytes: Vec::with_capacity(stride * SLOTS) }
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() >= self.stride * SLOTS
    }

    /// Adds params; returns their offset.
    pub(super) fn push(&mut self, params: &[u8]) -> u32 {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(params);
        self.bytes.resize(at + self.stride, 0);
        at as u32
    }

    /// Hands all params to the queue, for the submit that follows.
    pub(super) fn write(&mut self, queue: &wgpu::Queue) {
        queue.write_buffer(&self.buffer, 0, &self.bytes);
        self.bytes.clear();
    }

    /// Forgets all params.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
    }
}
