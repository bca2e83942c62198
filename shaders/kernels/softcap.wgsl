// softcap: one lane an element.
struct SoftcapParams {
    n: u32,
    cap: f32,
}

@group(0) @binding(0) var<uniform> p: SoftcapParams;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;

#import capped

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    for (var i = id.x; i < p.n; i += groups.x * 64u) {
        x[i] = capped(x[i], p.cap);
    }
}
