//! Records dispatches and copies, and submits them together. Bind groups are kept by pipeline and buffers, so
//! that a token reuses those of the one before.

use std::{collections::HashMap, ops::Range};

use super::{
    context::Context,
    pipelines::{Form, Pipelines},
    uniforms::{PARAMS_BYTES, Uniforms},
    words::{Words, copy_to_texture},
};
use crate::error::{Error, Result};

/// Storage bindings of one kernel at most.
const MAX_BINDINGS: usize = 6;

/// A buffer or texture that a kernel reads or writes; `id` is never used for another one.
#[derive(Clone, Copy)]
pub(super) struct Binding<'a> {
    id: u32,
    resource: Resource<'a>,
}

#[derive(Clone, Copy)]
enum Resource<'a> {
    Buffer(&'a wgpu::Buffer),
    Texture(&'a wgpu::TextureView),
}

impl<'a> Binding<'a> {
    pub(super) fn buffer(id: u32, buffer: &'a wgpu::Buffer) -> Binding<'a> {
        Binding { id, resource: Resource::Buffer(buffer) }
    }

    pub(super) fn words(id: u32, words: &'a Words) -> Binding<'a> {
        let resource = match words {
            Words::Buffer(buffer) => Resource::Buffer(buffer),
            Words::Texture { view, .. } => Resource::Texture(view),
        };
        Binding { id, resource }
    }
}

/// Pipeline, and ids of what it binds.
type BindKey = (usize, [u32; MAX_BINDINGS]);

enum Command {
    Dispatch(Dispatch),
    Copy { buffer: wgpu::Buffer, offset: u64, bytes: u64, texture: wgpu::Texture },
}

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
    commands: Vec<Command>,
    readback: Option<wgpu::Buffer>,
    fault: Option<Error>,
}

impl Recorder {
    pub(super) fn new(ctx: &Context) -> Recorder {
        Recorder {
            pipelines: Pipelines::default(),
            uniforms: Uniforms::new(ctx),
            bind_groups: HashMap::new(),
            commands: Vec::new(),
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
        self.commands.push(Command::Dispatch(Dispatch { pipeline, bind_group, offset, groups }));
    }

    /// Adds a copy of `bytes` of a buffer, from `offset` on, to the start of a texture.
    pub(super) fn record_copy(&mut self, from: &Words, offset: u64, bytes: u64, to: &Words) {
        if let (Words::Buffer(buffer), Words::Texture { texture, .. }) = (from, to) {
            let (buffer, texture) = (buffer.clone(), texture.clone());
            self.commands.push(Command::Copy { buffer, offset, bytes, texture });
        }
    }

    /// Drops the bind groups that hold one of these buffers.
    pub(super) fn forget(&mut self, ids: Range<u32>) {
        self.bind_groups.retain(|(_, bound), _| !bound.iter().any(|id| ids.contains(id)));
    }

    /// Submits what was recorded, waits, and copies the start of `words` into `out`. On a fault nothing of
    /// what was recorded is kept.
    pub(super) fn read(&mut self, ctx: &Context, words: &Words, out: &mut [u8]) -> Result<()> {
        if let Some(fault) = self.fault.take() {
            self.commands.clear();
            self.uniforms.clear();
            return Err(fault);
        }
        if out.is_empty() {
            self.submit(ctx, None);
            return ctx.wait();
        }
        let bytes = out.len() as u64;
        let readback = self.take_readback(ctx, bytes.next_multiple_of(16))?;
        self.submit(ctx, Some((words, &readback, bytes)));
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

    fn submit(&mut self, ctx: &Context, copy: Option<(&Words, &wgpu::Buffer, u64)>) {
        self.uniforms.write(&ctx.queue);
        let mut encoder = ctx.device.create_command_encoder(&Default::default());
        let mut commands = self.commands.drain(..).peekable();
        while commands.peek().is_some() {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            let mut bound = usize::MAX;
            while let Some(Command::Dispatch(d)) = commands.next_if(|c| matches!(c, Command::Dispatch(_))) {
                if bound != d.pipeline {
                    pass.set_pipeline(&self.pipelines.get(d.pipeline).compute);
                    bound = d.pipeline;
                }
                pass.set_bind_group(0, &d.bind_group, &[d.offset]);
                let [x, y, z] = d.groups;
                pass.dispatch_workgroups(x, y, z);
            }
            drop(pass);
            if let Some(Command::Copy { buffer, offset, bytes, texture }) = commands.next() {
                copy_to_texture(&mut encoder, &buffer, offset, bytes, &texture);
            }
        }
        drop(commands);
        if let Some((from, to, bytes)) = copy {
            from.copy_to(&mut encoder, to, bytes);
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
    let size = wgpu::BufferSize::new(PARAMS_BYTES);
    let params = wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer: params, offset: 0, size });
    let storage = bindings.iter().map(|b| match b.resource {
        Resource::Buffer(buffer) => buffer.as_entire_binding(),
        Resource::Texture(view) => wgpu::BindingResource::TextureView(view),
    });
    let entries: Vec<_> = (0..)
        .zip(std::iter::once(params).chain(storage))
        .map(|(binding, resource)| wgpu::BindGroupEntry { binding, resource })
        .collect();
    ctx.device.create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout, entries: &entries })
}
