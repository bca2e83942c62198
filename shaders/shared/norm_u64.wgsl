@group(0) @binding(4) var<storage, read> norm: array<vec2<u64>>;

fn norm_at(i: u32) -> vec4<f32> {
    return bitcast<vec4<f32>>(split(norm[i]));
}
