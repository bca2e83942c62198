// What a head of `qkv` goes through before attention, four elements at a time: bias, norm, rotation; see
// RopeKvParams, whose fields of these names `p` has. Heads count over a row: queries, keys, values. The
// kernel brings the bindings `rope` and `heads`.

// Where a head of row `token` starts in `qkv`.
fn head_start(token: u32, head: u32) -> u32 {
    return (token * (p.n_heads + 2u * p.n_kv_heads) + head) * (p.head_dim / 4u);
}

// Elements 4 i .. 4 i + 3 of a head, with the bias.
fn biased(token: u32, head: u32, i: u32) -> vec4<f32> {
    let v = qkv[head_start(token, head) + i];
    if p.has_bias == 1u {
        return v + heads[p.head_dim / 2u + head_start(0u, head) + i];
    }
    return v;
}

// The factor that brings a head with this sum of squares to a root mean square of 1.
fn head_scale(square: f32) -> f32 {
    return 1.0 / sqrt(square / f32(p.head_dim) + p.eps);
}

// The same of a query or key, normalised by the head's `scale`.
fn normed(token: u32, head: u32, i: u32, scale: f32) -> vec4<f32> {
    let v = biased(token, head, i);
    if p.has_norm == 1u {
        return v * scale * heads[select(0u, p.head_dim / 4u, head >= p.n_heads) + i];
    }
    return v;
}

// The same, rotated.
fn rotated(token: u32, head: u32, i: u32, scale: f32) -> vec4<f32> {
    let v = normed(token, head, i, scale);
    if i >= p.rope_dim / 4u {
        return v;
    }
    let turns = (p.pos + token) * (p.rope_dim / 4u);
    if p.halves == 0u {
        let turn = rope[turns + i];
        return v * turn.xxzz + vec4<f32>(-v.y, v.x, -v.w, v.z) * turn.yyww;
    }
    let half = p.rope_dim / 8u;
    let is_second = i >= half;
    let pairs = select(i, i - half, is_second);
    let a = rope[turns + 2u * pairs];
    let b = rope[turns + 2u * pairs + 1u];
    let other = normed(token, head, select(i + half, pairs, is_second), scale);
    return v * vec4<f32>(a.xz, b.xz) + select(-other, other, is_second) * vec4<f32>(a.yw, b.yw);
}
