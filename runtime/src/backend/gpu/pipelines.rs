//! Compute pipelines, made once per kernel, weight type and constants.

use std::collections::HashMap;

use halfbyte_shaders::{Binding, KernelSource};

use super::{context::Context, uniforms::PARAMS_BYTES};
use crate::error::{Error, Result};

/// A pipeline with the layout that its bind groups follow.
pub(super) struct Pipeline {
    pub compute: wgpu::ComputePipeline,
    pub layout: wgpu::BindGroupLayout,
}

/// Which form of a kernel: its source and the constants in front of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Form {
    /// Name of the kernel file.
    pub kernel: &'static str,
    /// Weight type, empty where none is read.
    pub weight: &'static str,
    /// Constants, `("", 0)` where unused.
    pub constants: [(&'static str, u32); 5],
    /// Lanes of a workgroup, 0 where the kernel sets its own.
    pub workgroup: u32,
}

impl Form {
    /// A kernel without weight, constants or a workgroup of the host's choice.
    pub(super) fn plain(kernel: &'static str) -> Form {
        Form { kernel, weight: "", constants: [("", 0); 5], workgroup: 0 }
    }

    /// The same with more constants.
    pub(super) fn with(mut self, constants: &[(&'static str, u32)]) -> Form {
        let unused = self.constants.iter_mut().filter(|c| c.0.is_empty());
        for (slot, constant) in unused.zip(constants) {
            *slot = *constant;
        }
        self
    }
}

/// All pipelines in use, by index.
#[derive(Default)]
pub(super) struct Pipelines {
    list: Vec<Pipeline>,
    index: HashMap<Form, usize>,
}

impl Pipelines {
    /// The pipeline of an index that [`index`](Self::index) gave.
    pub(super) fn get(&self, index: usize) -> &Pipeline {
        &self.list[index]
    }

    /// The index of a form, which is compiled when it is first asked for.
    pub(super) fn index(&mut self, ctx: &Context, form: Form) -> Result<usize> {
        if let Some(i) = self.index.get(&form) {
            return Ok(*i);
        }
        let source = halfbyte_shaders::kernel(form.kernel, form.weight)
            .ok_or_else(|| Error::Gpu(format!("no kernel {} {}", form.kernel, form.weight)))?;
        self.list.push(compile(ctx, source, form));
        ctx.check()?;
        self.index.insert(form, self.list.len() - 1);
        Ok(self.list.len() - 1)
    }
}

fn compile(ctx: &Context, source: &KernelSource, form: Form) -> Pipeline {
    let used = form.constants.iter().position(|c| c.0.is_empty()).unwrap_or(form.constants.len());
    let wgsl = source.wgsl(&form.constants[..used]);
    let descriptor = wgpu::ShaderModuleDescriptor {
        label: Some(source.name),
        source: wgpu::ShaderSource::Wgsl(wgsl.into()),
    };
    // SAFETY: the kernels are ours and validated at build time; each clamps or guards every index by
    // its params, which `Gpu` derives from the sizes of the buffers it binds, and every loop ends.
    let module = unsafe {
        ctx.device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked())
    };
    let layout = ctx.device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
        label: Some(source.name),
        entries: &layout_entries(source.bindings),
    });
    let pipeline_layout = ctx.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: Some(source.name),
        bind_group_layouts: &[Some(&layout)],
        immediate_size: 0,
    });
    let workgroup = [("WORKGROUP", f64::from(form.workgroup))];
    let compute = ctx.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some(source.name),
        layout: Some(&pipeline_layout),
        module: &module,
        entry_point: Some("main"),
        compilation_options: wgpu::PipelineCompilationOptions {
            constants: if form.workgroup == 0 { &[] } else { &workgroup },
            zero_initialize_workgroup_memory: false,
        },
        cache: None,
    });
    Pipeline { compute, layout }
}

/// Binding 0 is the params at a dynamic offset, then come buffers and textures.
fn layout_entries(bindings: &[Binding]) -> Vec<wgpu::BindGroupLayoutEntry> {
    let params = wgpu::BindingType::Buffer {
        ty: wgpu::BufferBindingType::Uniform,
        has_dynamic_offset: true,
        min_binding_size: wgpu::BufferSize::new(PARAMS_BYTES),
    };
    let buffer = |read_only| wgpu::BindingType::Buffer {
        ty: wgpu::BufferBindingType::Storage { read_only },
        has_dynamic_offset: false,
        min_binding_size: None,
    };
    let texture = |access| wgpu::BindingType::StorageTexture {
        access,
        format: wgpu::TextureFormat::Rgba32Uint,
        view_dimension: wgpu::TextureViewDimension::D2,
    };
    let storage = bindings.iter().map(|binding| match binding {
        Binding::Read => buffer(true),
        Binding::Written => buffer(false),
        Binding::Texture => texture(wgpu::StorageTextureAccess::ReadOnly),
        Binding::WrittenTexture => texture(wgpu::StorageTextureAccess::ReadWrite),
    });
    (0..)
        .zip(std::iter::once(params).chain(storage))
        .map(|(binding, ty)| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty,
            count: None,
        })
        .collect()
}
