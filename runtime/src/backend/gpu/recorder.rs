//! Records dispatches and submits them together. Bind groups are kept by pipeline and buffers, so
//! that a token reuses those of the one before.

use std::{collections::HashMap, ops::Range};

use super::{
    context::Context,
    pipelines::{Form, Pipelines},
    uniforms::{PARAMS_BYTES, Uniforms},
};
use crate::error::{Error, Result};

/// Storage bindings of one kernel at most.
const MAX_BINDINGS: usize = 5;

/// A range of a buffer that a kernel reads or writes; `id` is never used for another buffer.
#[derive(Clone, Copy)]
pub(super) struct Binding<'a> {
    id: u32,
    buffer: &'a wgpu::Buffer,
    offset: u64,
    bytes: u64,
}

impl<'a> Binding<'a> {
    pub(super) fn whole(id: u32, buffer: &'a wgpu::Buffer) -> Binding<'a> {
        Binding { id, buffer, offset: 0, bytes: buffer.size() }
    }

    pub(super) fn part(id: u32, buffer: &'a wgpu::Buffer, range: &Range<u64>) -> Binding<'a> {
        Binding { id, buffer, offset: range.start, bytes: range.end - range.start }
    }
}

/// Pipeline and buffer ids.
type BindKey = (usize, [u32; MAX_BINDINGS]);

struct Dispatch {
    pipeline: usize,
    bind_group: wgpu::BindGroup,
    offset: u32,
    groups: [u32; 3],
}

pub(super) struct Recorder {
    pipelines: Pipelines,
    uniforms: Uniforms,
    bind_groups: HashMap<BindKey, wgpu::BindGroup>,
    dispatches: Vec<Dispatch>,
    readback: Option<wgpu::Buffer>,
    fault: Option<Error>,
}

impl Recorder {
    pub(super) fn new(ctx: &Context) -> Recorder {
        Recorder {
            pipelines: Pipelines::default(),
            uniforms: Uniforms::new(ctx),
            bind_groups: HashMap::new(),
            dispatches: Vec::new(),
            readback: None,
            fault: None,
        }
    }

    /// Keeps the first fault for the next [`read`](Self::read).
    pub(super) fn fail(&mut self, fault: Error) {
        self.fault.get_or_insert(fault);
    }

    /// Adds one dispatch.
    pub(super) fn record(
        &mut self,
        ctx: &Context,
        form: Form,
        params: &[u8],
        bindings: &[Binding],
        groups: [u32; 3],
    ) {
        if self.uniforms.is_full() {
            self.submit(ctx, None);
        }
        let pipeline = match self.pipelines.index(ctx, form) {
            Ok(i) => i,
            Err(e) => return self.fail(e),
        };
        let bind_group = self.bind_group(ctx, pipeline, bindings);
        let offset = self.uniforms.push(params);
        self.dispatches.push(Dispatch { pipeline, bind_group, offset, groups });
    }

    /// Drops the bind groups that hold one of these buffers.
    pub(super) fn forget(&mut self, ids: Range<u32>) {
        self.bind_groups.retain(|(_, bound), _| !bound.iter().any(|id| ids.contains(id)));
    }

    /// Submits what was recorded, waits, and copies the start of `buffer` into `out`. On a fault
    /// nothing of what was recorded is kept.
    pub(super) fn read(&mut self, ctx: &Context, buffer: &wgpu::Buffer, out: &mut [u8]) -> Result<()> {
        if let Some(fault) = self.fault.take() {
            self.dispatches.clear();
            self.uniforms.clear();
            return Err(fault);
        }
        if out.is_empty() {
            self.submit(ctx, None);
            return ctx.wait();
        }
        let bytes = out.len() as u64;
        let readback = self.take_readback(ctx, bytes)?;
        self.submit(ctx, Some((buffer, &readback, bytes)));
        readback.slice(..bytes).map_async(wgpu::MapMode::Read, |_| {});
        ctx.wait()?;
        let mapped = readback.get_mapped_range(..bytes).map_err(|e| Error::Gpu(e.to_string()))?;
        out.copy_from_slice(&mapped);
        drop(mapped);
        readback.unmap();
        self.readback = Some(readback);
        Ok(())
    }

    fn bind_group(&mut self, ctx: &Context, pipeline: usize, bindings: &[Binding]) -> wgpu::BindGroup {
        let mut ids = [u32::MAX; MAX_BINDINGS];
        for (slot, binding) in ids.iter_mut().zip(bindings) {
            *slot = binding.id;
        }
        let (layout, params) = (&self.pipelines.get(pipeline).layout, &self.uniforms.buffer);
        let make = || make_bind_group(ctx, layout, params, bindings);
        self.bind_groups.entry((pipeline, ids)).or_insert_with(make).clone()
    }

    fn submit(&mut self, ctx: &Context, copy: Option<(&wgpu::Buffer, &wgpu::Buffer, u64)>) {
        self.uniforms.write(&ctx.queue);
        let mut encoder = ctx.device.create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            let mut bound = usize::MAX;
            for d in self.dispatches.drain(..) {
                if bound != d.pipeline {
                    pass.set_pipeline(&self.pipelines.get(d.pipeline).compute);
                    bound = d.pipeline;
                }
                pass.set_bind_group(0, &d.bind_group, &[d.offset]);
                let [x, y, z] = d.groups;
                pass.dispatch_workgroups(x, y, z);
            }
        }
        if let Some((from, to, bytes)) = copy {
            encoder.copy_buffer_to_buffer(from, 0, to, 0, bytes);
        }
        ctx.queue.submit([encoder.finish()]);
    }

    fn take_readback(&mut self, ctx: &Context, bytes: u64) -> Result<wgpu::Buffer> {
        if let Some(buffer) = self.readback.take().filter(|b| b.size() >= bytes) {
            return Ok(buffer);
        }
        let buffer = ctx.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("readback"),
            size: bytes,
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        ctx.check()?;
        Ok(buffer)
    }
}

fn make_bind_group(
    ctx: &Context,
    layout: &wgpu::BindGroupLayout,
    params: &wgpu::Buffer,
    bindings: &[Binding],
) -> wgpu::BindGroup {
    let range = |buffer, offset, bytes| {
        let size = wgpu::BufferSize::new(bytes);
        wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset, size })
    };
    let params = range(params, 0, PARAMS_BYTES);
    let storage = bindings.iter().map(|b| range(b.buffer, b.offset, b.bytes));
    let entries: Vec<_> = (0..)
        .zip(std::iter::once(params).chain(storage))
        .map(|(binding, resource)| wgpu::BindGroupEntry { binding, resource })
        .collect();
    ctx.device.create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout, entries: &entries })
}
