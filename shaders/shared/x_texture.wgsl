// Activations that were copied into a texture of 1024 words a row.
@group(0) @binding(2) var x: texture_storage_2d<rgba32uint, read>;

fn x_at(i: u32) -> vec4<f32> {
    return bitcast<vec4<f32>>(textureLoad(x, vec2<u32>(i % 1024u, i / 1024u)));
}
