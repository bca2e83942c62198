// The cache in textures, read and written, four elements at a time; see words_texture.wgsl.
@group(0) @binding(2) var k_cache: texture_storage_2d<rgba32uint, read_write>;
@group(0) @binding(3) var v_cache: texture_storage_2d<rgba32uint, read_write>;

#import kv_get_texture

fn put_k(i: u32, k: vec4<f32>) {
    textureStore(k_cache, vec2<u32>(i % 1024u, i / 1024u), bitcast<vec4<u32>>(k));
}

fn put_v(i: u32, v: vec4<f32>) {
    textureStore(v_cache, vec2<u32>(i % 1024u, i / 1024u), bitcast<vec4<u32>>(v));
}
