// What the variants of matmul share: bindings and the store.
struct MatmulParams {
    n_tokens: u32,
    n_rows: u32,
    n_cols: u32,
    row_begin: u32,
    out_cols: u32,
    accumulate: u32,
    first_token: u32,
    eps: f32,
}

@group(0) @binding(0) var<uniform> p: MatmulParams;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

fn store(token: u32, row: u32, sum: f32) {
    if token >= p.n_tokens || row >= p.n_rows {
        return;
    }
    let at = token * p.out_cols + p.row_begin + row;
    if p.accumulate == 1u {
        out[at] += sum;
    } else {
        out[at] = sum;
    }
}
