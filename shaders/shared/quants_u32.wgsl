@group(0) @binding(1) var<storage, read> quants: array<vec4<u32>>;

fn quants_at(i: u32) -> vec4<u32> {
    return quants[i];
}
