@group(0) @binding(2) var<storage, read> x: array<vec2<u64>>;

fn x_at(i: u32) -> vec4<f32> {
    return bitcast<vec4<f32>>(split(x[i]));
}
