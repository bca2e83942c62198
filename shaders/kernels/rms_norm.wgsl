// rms_norm: one workgroup a row, four elements at a time; every lane sums a part and then all parts, so
// one barrier is enough.
struct RmsNormParams {
    n_tokens: u32,
    n_cols: u32,
    first_token: u32,
    eps: f32,
    accumulate: u32,
}

@group(0) @binding(0) var<uniform> p: RmsNormParams;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>;

override WORKGROUP: u32 = 32;
var<workgroup> parts: array<f32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let n = p.n_cols / 4u;
    let from_row = (p.first_token + group.x) * n;
    var part = vec4<f32>();
    for (var i = lane; i < n; i += WORKGROUP) {
        let v = x[from_row + i];
        part = fma(v, v, part);
    }
    parts[lane] = part.x + part.y + part.z + part.w;
    workgroupBarrier();
    var sum = 0.0;
    for (var i = 0u; i < WORKGROUP; i++) {
        sum += parts[i];
    }
    let scale = 1.0 / sqrt(sum / f32(p.n_cols) + p.eps);
    for (var i = lane; i < n; i += WORKGROUP) {
        let v = x[from_row + i] * scale * weight[i];
        let at = group.x * n + i;
        if p.accumulate == 1u {
            out[at] += v;
        } else {
            out[at] = v;
        }
    }
}
