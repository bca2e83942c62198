// matmul of one token with subgroups: a lane owns ROWS rows. The 32 values of x that a block of
// weights meets are loaded by eight lanes and broadcast; the weights stay raw inside a block, and the
// block's factors are applied once. Needs subgroups of eight lanes or more.
// WGSL wants the lane of a broadcast as a constant, hence a copy of the step for each of the eight.
//
// INPUT tells what the weights meet: x as it is; x normalised as rms_norm does, whose sum of squares
// is taken on the way (norm_matmul); or silu(x) or gelu(x) times the second half of x (gated_matmul).
#import weight
#import layout
#import dot4
#import gelu
#import input_kinds
#import matmul_io

override WORKGROUP: u32 = 64;

fn input(i: u32) -> vec4<f32> {
    if INPUT == GATED {
        let gate = x_at(i);
        return gate / (1.0 + exp(-gate)) * x_at(p.n_cols / 4u + i);
    }
    if INPUT == GELU_GATED {
        return gelu(x_at(i)) * x_at(p.n_cols / 4u + i);
    }
    return x_at(p.first_token * (p.n_cols / 4u) + i);
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_invocation_id) subgroup_lane: u32,
    @builtin(subgroup_size) subgroup_size: u32,
) {
    let all_lane = group.x * WORKGROUP + lane;
    let n_blocks = p.n_cols / 32u;
    var at: array<u32, ROWS>;
    for (var r = 0u; r < ROWS; r++) {
        at[r] = row_begin(min(row_of(all_lane, r, ROWS), p.n_rows - 1u), p.n_cols);
    }
    var sum: array<f32, ROWS>;
    var squares = vec4<f32>();
    var offset = 0u;
    for (var first = 0u; first < n_blocks; first += SUPER) {
        var scales: array<Scales, ROWS>;
        let n = min(SUPER, n_blocks - first);
        for (var r = 0u; r < ROWS; r++) { scales[r] = load_scales(at[r] + offset, n); }
        offset += scale_words(n) * NEXT;
        for (var k = 0u; k < n; k++) {
            var block: array<Block, ROWS>;
            for (var r = 0u; r < ROWS; r++) { block[r] = load_block(scales[r], at[r] + offset, k); }
            let x_index = (first + k) * 8u + subgroup_lane % 8u;
            var xs = input(x_index);
            if INPUT == NORMED {
                squares = fma(xs, xs, squares);
                xs *= norm_at(x_index);
            }
            var sum_x = vec4<f32>();
            var part: array<f32, ROWS>;
            {
                let xv = subgroupBroadcast(xs, 0u);
                sum_x += xv;
                for (var r = 0u; r < ROWS; r++) { part[r] = dot4(raw(scales[r], k, block[r], 0u), xv, part[r]); }
            }
            {
                let xv = subgroupBroadcast(xs, 1u);
                sum_x += xv;
                for (var r = 0u; r < ROWS; r++) { part[r] = dot4(raw(scales[r], k, block[r], 1u), xv, part[r]); }
            }
            {
                let xv = subgroupBroadcast(xs, 2u);
                sum_x += xv;
                for (var r = 0u; r < ROWS; r++) { part[r] = dot4(raw(scales[r], k, block[r], 2u), xv, part[r]); }
            }
            {
                let xv = subgroupBroadcast(xs, 3u);
                sum_x += xv;
                for (var r = 0u; r < ROWS; r++) { part[r] = dot4(raw(scales[r], k, block[r], 3u), xv, part[r]); }
            }
            {
                let xv = subgroupBroadcast(xs, 4u);
                sum_x += xv;
                for (var r = 0u; r < ROWS; r++) { part[r] = dot4(raw(scales[r], k, block[r], 4u), xv, part[r]); }
            }
            {
                let xv = subgroupBroadcast(xs, 5u);
                sum_x += xv;
                for (var r = 0u; r < ROWS; r++) { part[r] = dot4(raw(scales[r], k, block[r], 5u), xv, part[r]); }
            }
            {
                let xv = subgroupBroadcast(xs, 6u);
                sum_x += xv;
                for (var r = 0u; r < ROWS; r++) { part[r] = dot4(raw(scales[r], k, block[r], 6u), xv, part[r]); }
            }
            {
                let xv = subgroupBroadcast(xs, 7u);
                sum_x += xv;
                for (var r = 0u; r < ROWS; r++) { part[r] = dot4(raw(scales[r], k, block[r], 7u), xv, part[r]); }
            }
            let total_x = sum_x.x + sum_x.y + sum_x.z + sum_x.w;
            for (var r = 0u; r < ROWS; r++) {
                let a = affine(scales[r], k, block[r]);
                sum[r] = fma(a.x, part[r], fma(a.y, total_x, sum[r]));
            }
        }
        offset += quant_words(n) * NEXT;
    }
    var scale = 1.0;
    if INPUT == NORMED {
        let copies = f32(subgroup_size) / 8.0;
        let square = subgroupAdd(squares.x + squares.y + squares.z + squares.w) / copies;
        scale = 1.0 / sqrt(square / f32(p.n_cols) + p.eps);
    }
    for (var r = 0u; r < ROWS; r++) {
        store(0u, row_of(all_lane, r, ROWS), sum[r] * scale);
    }
}
