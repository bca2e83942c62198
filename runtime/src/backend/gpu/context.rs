//! The adapter, its device and queue, what of it the kernels use, and the fault that it reported.

use std::sync::{Arc, Mutex, PoisonError};

use super::GpuOptions;
use crate::{
    backend::{Activations, Device},
    error::{Error, Result},
};

/// Optional features that some form of a kernel uses.
const WANTED: wgpu::Features = wgpu::Features::SUBGROUP
    .union(wgpu::Features::SHADER_INT64)
    .union(wgpu::Features::TEXTURE_ADAPTER_SPECIFIC_FORMAT_FEATURES);

/// A device that is ready to use.
pub(super) struct Context {
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
    pub info: Device,
    /// Fewest and most lanes of a subgroup, where the adapter has subgroups of eight lanes or more.
    pub subgroup: Option<(u32, u32)>,
    /// Whether kernels may load 64-bit words.
    pub int64: bool,
    /// Whether weights and batches of activations are kept in textures.
    pub textures: bool,
    /// Whether the key and value cache may be, which kernels write too.
    pub cache_textures: bool,
    /// Whether matmuls quantise their activations, where the weights are integers.
    pub int8: bool,
    fault: Arc<Mutex<Option<Error>>>,
}

impl Context {
    /// Opens the best adapter: a GPU before a processor that computes as one.
    pub(super) fn open(options: GpuOptions) -> Result<Context> {
        let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
        descriptor.backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL;
        descriptor.flags = wgpu::InstanceFlags::empty();
        let backends = descriptor.backends;
        let instance = wgpu::Instance::new(descriptor);
        let adapters = pollster::block_on(instance.enumerate_adapters(backends));
        let adapter = adapters.into_iter().min_by_key(rank).ok_or_else(|| {
            Error::NoGpu(
                "no Vulkan or Metal adapter was found; install the GPU's driver, or a software one \
                 (Debian: apt install mesa-vulkan-drivers libvulkan1)"
                    .into(),
            )
        })?;
        let language = instance.wgsl_language_features();
        let has_dot = language.contains(wgpu::WgslLanguageFeatures::Packed4x8IntegerDotProduct);
        let int8 = options.activations == Activations::Int8 && has_dot;
        Context::from_adapter(&adapter, options, int8)
    }

    fn from_adapter(adapter: &wgpu::Adapter, options: GpuOptions, int8: bool) -> Result<Context> {
        let info = adapter.get_info();
        let features = adapter.features() & WANTED;
        let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor {
            label: None,
            required_features: features,
            required_limits: adapter.limits(),
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            ..Default::default()
        }))
        .map_err(|e| Error::NoGpu(format!("{}: {e}", info.name)))?;
        let (min, max) = (info.subgroup_min_size, info.subgroup_max_size);
        let fits = min >= 8 && min.is_multiple_of(8) && features.contains(wgpu::Features::SUBGROUP);
        let subgroup = (options.subgroups && fits).then_some((min, max));
        let int64 = options.int64 && features.contains(wgpu::Features::SHADER_INT64);
        let is_software = info.device_type == wgpu::DeviceType::Cpu;
        let format = adapter.get_texture_format_features(wgpu::TextureFormat::Rgba32Uint);
        let may = |flag| {
            format.allowed_usages.contains(wgpu::TextureUsages::STORAGE_BINDING)
                && format.flags.contains(flag)
        };
        let textures = options.textures
            && is_software
            && subgroup.is_some()
            && may(wgpu::TextureFormatFeatureFlags::STORAGE_READ_ONLY);
        let cache_textures = textures
            && features.contains(wgpu::Features::TEXTURE_ADAPTER_SPECIFIC_FORMAT_FEATURES)
            && may(wgpu::TextureFormatFeatureFlags::STORAGE_READ_WRITE);
        let fault = Arc::new(Mutex::new(None));
        report_faults(&device, &fault);
        let info = Device {
            backend: "gpu",
            features: describe(subgroup, int64, textures, int8),
            name: info.name,
            driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
            is_software,
        };
        Ok(Context { device, queue, info, subgroup, int64, textures, cache_textures, int8, fault })
    }

    /// The first fault since the last call, if there was one.
    pub(super) fn check(&self) -> Result<()> {
        match self.fault.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(fault) => Err(fault),
            None => Ok(()),
        }
    }

    /// Waits until the device has done all work that was submitted.
    pub(super) fn wait(&self) -> Result<()> {
        self.device.poll(wgpu::PollType::wait_indefinitely()).map_err(|e| Error::Gpu(e.to_string()))?;
        self.check()
    }
}

/// What of the adapter the kernels use, for reports.
fn describe(subgroup: Option<(u32, u32)>, int64: bool, textures: bool, int8: bool) -> Vec<String> {
    let lanes = match subgroup {
        Some((min, max)) if min == max => format!("subgroups of {min}"),
        Some((min, max)) => format!("subgroups of {min} to {max}"),
        None => "no subgroups".into(),
    };
    let words = if int64 { "64-bit loads" } else { "32-bit loads" };
    let weights = textures.then(|| "words in textures".into());
    let activations = if int8 { Activations::Int8 } else { Activations::F32 };
    [lanes, words.into()].into_iter().chain(weights).chain([activations.describe()]).collect()
}

/// Order of preference among adapters.
fn rank(adapter: &wgpu::Adapter) -> u32 {
    match adapter.get_info().device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    }
}

/// Keeps the first fault that the device reports, instead of wgpu's panic.
fn report_faults(device: &wgpu::Device, fault: &Arc<Mutex<Option<Error>>>) {
    let keep = |fault: &Mutex<Option<Error>>, e: Error| {
        fault.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(e);
    };
    let slot = Arc::clone(fault);
    device.on_uncaptured_error(Arc::new(move |e| {
        let e = match e {
            wgpu::Error::OutOfMemory { .. } => Error::OutOfMemory("the GPU has no room left".into()),
            other => Error::Gpu(other.to_string()),
        };
        keep(&slot, e);
    }));
    let slot = Arc::clone(fault);
    device.set_device_lost_callback(move |reason, message| {
        if reason != wgpu::DeviceLostReason::Destroyed {
            keep(&slot, Error::Gpu(format!("the device was lost: {message}")));
        }
    });
}
