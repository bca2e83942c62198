//! The WGSL kernels, one op each, and the parameter struct that every op takes on every backend.
//!
//! `kernels/*.wgsl` hold the kernels, `shared/*.wgsl` what they import; `build.rs` resolves the
//! imports and validates all of them. Binding 0 of a kernel is its parameter struct as a uniform,
//! the bindings from 1 on are its storage buffers and textures.

pub mod params;

/// A kernel, validated when this crate was built.
#[derive(Debug)]
pub struct KernelSource {
    /// Name of the kernel, which is the name of its file and of its op (a suffix names a variant).
    pub name: &'static str,
    /// Weight type the kernel reads, empty where it reads none.
    pub weight: &'static str,
    /// WGSL without the constants; see [`KernelSource::wgsl`].
    pub source: &'static str,
    /// What the bindings are, from binding 1 on.
    pub bindings: &'static [Binding],
}

/// What a kernel binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// A storage buffer that is only read.
    Read,
    /// A storage buffer that is written.
    Written,
    /// A storage texture of words of 16 bytes (`rgba32uint`) that is only read.
    Texture,
    /// The same, read and written.
    WrittenTexture,
}

impl KernelSource {
    /// The complete WGSL, with the host's `constants` in front.
    pub fn wgsl(&self, constants: &[(&str, u32)]) -> String {
        let mut out = String::new();
        for (name, value) in constants {
            out += &format!("const {name}: u32 = {value}u;\n");
        }
        out + self.source
    }
}

/// Finds a kernel by name and weight type (empty where it reads no weight).
pub fn kernel(name: &str, weight: &str) -> Option<&'static KernelSource> {
    KERNELS.iter().find(|k| k.name == name && k.weight == weight)
}

include!(concat!(env!("OUT_DIR"), "/kernels.rs"));

#[cfg(test)]
mod tests {
    use super::{KERNELS, params};

    /// Rust struct name, its fields in order, its size in bytes.
    fn rust_params() -> Vec<(&'static str, &'static [&'static str], usize)> {
        macro_rules! list {
            ($($t:ident),*) => { vec![$((stringify!($t), params::$t::FIELDS, size_of::<params::$t>())),*] };
        }
        list!(
            EmbedParams,
            RmsNormParams,
            QuantizeParams,
            MatmulParams,
            RopeKvParams,
            AttentionParams,
            SiluMulParams,
            GeluMulParams,
            SoftcapParams
        )
    }

    #[test]
    fn every_wgsl_params_struct_equals_the_rust_one() {
        let mut seen = 0;
        for kernel in KERNELS {
            let example = [
                ("TOKENS", 8),
                ("INPUT", 1),
                ("ROWS", 4),
                ("HEAD_DIM", 64),
                ("HEADS", 3),
                ("SUBGROUP", 8),
                ("SOFTCAP", 1),
                ("STRIDE", 1),
                ("WORDS_PER_LANE", 64),
            ];
            let module = naga::front::wgsl::parse_str(&kernel.wgsl(&example)).unwrap();
            for (_, ty) in module.types.iter() {
                let Some(name) = ty.name.as_deref().filter(|n| n.ends_with("Params")) else {
                    continue;
                };
                let naga::TypeInner::Struct { members, span } = &ty.inner else {
                    panic!("{name} is no struct")
                };
                let (_, fields, size) = *rust_params().iter().find(|p| p.0 == name).unwrap();
                let wgsl: Vec<_> = members.iter().map(|m| m.name.as_deref().unwrap()).collect();
                assert_eq!(wgsl, fields, "{name} in {}", kernel.name);
                assert_eq!(*span as usize, size, "{name} in {}", kernel.name);
                seen += 1;
            }
        }
        assert!(seen >= rust_params().len(), "a kernel lost its params struct");
    }
}
