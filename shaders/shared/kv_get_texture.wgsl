// The reads of kv_texture and kv_rw_texture.
fn k_at(i: u32) -> vec4<f32> {
    return bitcast<vec4<f32>>(textureLoad(k_cache, vec2<u32>(i % 1024u, i / 1024u)));
}

fn v_at(i: u32) -> vec4<f32> {
    return bitcast<vec4<f32>>(textureLoad(v_cache, vec2<u32>(i % 1024u, i / 1024u)));
}
