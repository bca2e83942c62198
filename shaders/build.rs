//! Resolves `#import` in every kernel, validates the result with naga, so that a broken shader
//! fails the build with naga's message, and writes the table of kernels with the bindings that
//! naga found in each.

use std::{env, error::Error, fmt::Write as _, fs, path::Path};

use naga::{
    AddressSpace, GlobalVariable, ImageClass, Module, StorageAccess, TypeInner,
    front::wgsl,
    valid::{Capabilities, ValidationFlags, Validator},
};

include!("kernel_list.rs");

/// What kernels may need beyond core WGSL; the host asks the adapter for each.
const CAPABILITIES: Capabilities =
    Capabilities::SUBGROUP.union(Capabilities::SHADER_FLOAT16_IN_FLOAT32).union(Capabilities::SHADER_INT64);

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    for path in ["kernel_list.rs", "kernels", "shared"] {
        println!("cargo::rerun-if-changed={path}");
    }
    let mut table = String::from(
        "/// Every kernel of `kernel_list.rs`, once per weight type that it reads.\npub static KERNELS: &[KernelSource] = &[\n",
    );
    let plain = KERNELS.iter().map(|&(name, per_weight, constants)| {
        let weights = if per_weight { WEIGHTS } else { &[""] };
        (name, weights, constants)
    });
    let integer = INTEGER_KERNELS.iter().map(|&(name, constants)| (name, INTEGER_WEIGHTS, constants));
    for (name, weights, constants) in plain.chain(integer) {
        for &weight in weights {
            let source = resolve(&format!("kernels/{name}.wgsl"), weight)?;
            let bindings = validate(&source, constants).map_err(|e| format!("{name} {weight}: {e}"))?;
            let bindings: String = bindings.iter().map(|kind| format!("Binding::{kind}, ")).collect();
            writeln!(
                table,
                "KernelSource {{ name: {name:?}, weight: {weight:?}, source: {source:?}, bindings: &[{bindings}] }},"
            )?;
        }
    }
    table.push_str("];\n");
    fs::write(Path::new(&env::var("OUT_DIR")?).join("kernels.rs"), table)?;
    Ok(())
}

/// The text of a file with each `#import name` line replaced by `shared/name.wgsl`, in depth, and
/// `#import weight` by the file of the weight type.
fn resolve(path: &str, weight: &str) -> Result<String> {
    let mut out = String::new();
    for line in fs::read_to_string(path)?.lines() {
        match line.strip_prefix("#import ") {
            Some("weight") => out += &resolve(&format!("shared/weight_{weight}.wgsl"), weight)?,
            Some(import) => out += &resolve(&format!("shared/{import}.wgsl"), weight)?,
            None => {
                out += line;
                out.push('\n');
            }
        }
    }
    Ok(out)
}

/// Parses and validates; returns what each binding of group 0 is, from binding 1 on.
fn validate(source: &str, constants: &[(&str, u32)]) -> Result<Vec<&'static str>> {
    let mut full = String::new();
    for (name, value) in constants {
        writeln!(full, "const {name}: u32 = {value}u;")?;
    }
    full += source;
    let module = wgsl::parse_str(&full).map_err(|e| e.emit_to_string(&full))?;
    Validator::new(ValidationFlags::all(), CAPABILITIES)
        .subgroup_stages(naga::valid::ShaderStages::COMPUTE)
        .subgroup_operations(naga::valid::SubgroupOperationSet::all())
        .validate(&module)
        .map_err(|e| e.emit_to_string(&full))?;
    let mut bindings: Vec<(u32, &str)> = module
        .global_variables
        .iter()
        .filter_map(|(_, v)| Some((v.binding.as_ref()?.binding, kind(&module, v)?)))
        .collect();
    bindings.sort_unstable();
    let dense = bindings.iter().zip(1..).all(|((b, _), want)| *b == want);
    if !dense {
        return Err("bindings must count up from 1".into());
    }
    Ok(bindings.into_iter().map(|(_, kind)| kind).collect())
}

/// The variant of `Binding` that a variable is, none for the params.
fn kind(module: &Module, variable: &GlobalVariable) -> Option<&'static str> {
    let is_written = |access: StorageAccess| access.contains(StorageAccess::STORE);
    match (variable.space, &module.types[variable.ty].inner) {
        (AddressSpace::Storage { access }, _) if is_written(access) => Some("Written"),
        (AddressSpace::Storage { .. }, _) => Some("Read"),
        (_, TypeInner::Image { class: ImageClass::Storage { access, .. }, .. }) if is_written(*access) => {
            Some("WrittenTexture")
        }
        (_, TypeInner::Image { .. }) => Some("Texture"),
        _ => None,
    }
}
