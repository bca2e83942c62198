@group(0) @binding(4) var<storage, read> norm: array<vec4<f32>>;

fn norm_at(i: u32) -> vec4<f32> {
    return norm[i];
}
