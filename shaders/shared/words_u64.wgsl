// Reads of 16 bytes as two 64-bit words: half the loads where a driver loads each word and lane on its
// own (lavapipe).
@group(0) @binding(1) var<storage, read> quants: array<vec2<u64>>;
@group(0) @binding(3) var<storage, read> x: array<vec2<u64>>;

fn split(v: vec2<u64>) -> vec4<u32> {
    return vec4<u32>(u32(v.x), u32(v.x >> 32u), u32(v.y), u32(v.y >> 32u));
}

fn quants_at(i: u32) -> vec4<u32> {
    return split(quants[i]);
}

fn x_at(i: u32) -> vec4<f32> {
    return bitcast<vec4<f32>>(split(x[i]));
}
