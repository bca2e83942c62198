//! Runs an op on two backends and keeps the worst disagreement of each class of shapes.

use std::fmt::Display;

use halfbyte::backend::{Activations, Backend, Buf, Device, cpu::Cpu};
use halfbyte::gguf::TensorView;

/// Largest NMSE that rounding explains. Both sides compute in f32, where a rounding is off by 6e-8 at
/// most, so by 4e-15 squared; a wrong weight, position or factor is off by 1e-6 and more.
fn bound(op: &str) -> f64 {
    match op {
        // One or two roundings an element; products may be fused.
        "embed" | "rope_kv" => 1e-13,
        // A sum of squares, which do not cancel, then a root and a division of 2.5 ulp each.
        "rms_norm" | "rope_kv, norm" => 1e-12,
        // Up to 2080 terms in another order: some sqrt(2080 / 2) roundings, so 1e-12 on average; the
        // only output of a matrix of one row may be several times the average.
        "matmul" | "norm_matmul" | "gated_matmul" | "gated_matmul, GELU" => 1e-10,
        // WGSL allows exp(x) to be off by 3 + 2 |x| ulp: 5e-6 where |x| is 20, so 1e-11.
        "silu_mul" | "gelu_mul" | "softcap" | "attention" | "rope_attention" => 1e-10,
        other => unreachable!("{other} has no bound"),
    }
}

/// The same with int8 activations, whose rounding may differ by one step where two inputs differ by one
/// rounding in f32: of 32 activations one is then off by 1/127 of the largest, which may have 20 times their
/// mean square: 20 / 127^2 / 32 is 4e-5. A wrong block of the 65 that a row has at most, is off by 1/65.
fn int8_bound(op: &str) -> f64 {
    if op.ends_with("matmul") || op.ends_with("GELU") { 4e-5 } else { bound(op) }
}

/// A buffer on the backend under test and on the CPU.
pub(crate) type Both = [Buf; 2];

/// Shapes of one kind.
struct Row {
    op: &'static str,
    class: String,
    shapes: usize,
    worst: f64,
    worst_shape: String,
}

/// The backend under test, its CPU twin, and how they agreed so far.
pub(crate) struct Table {
    title: String,
    activations: Activations,
    backends: [Box<dyn Backend>; 2],
    rows: Vec<Row>,
}

impl Table {
    /// Both compute with `activations`.
    pub(crate) fn new(form: &str, tested: Box<dyn Backend>, activations: Activations) -> Table {
        let Device { name, features, .. } = tested.device();
        let title = format!("{form}: {name}, {}", features.join(", "));
        let twin = Box::new(Cpu::with_activations(activations));
        Table { title, activations, backends: [tested, twin], rows: Vec::new() }
    }

    /// Uploads weights to both backends.
    pub(crate) fn upload(&mut self, tensors: &[TensorView]) -> Both {
        self.backends.each_mut().map(|b| b.upload(tensors).unwrap())
    }

    /// A buffer that holds `values` on both backends.
    pub(crate) fn buffer(&mut self, values: &[f32]) -> Both {
        self.backends.each_mut().map(|b| {
            let buf = b.alloc(values.len()).unwrap();
            b.write(buf, values).unwrap();
            buf
        })
    }

    /// Keys or values that hold `values` on both backends.
    pub(crate) fn cache(&mut self, values: &[f32], shape: [usize; 3]) -> Both {
        self.backends.each_mut().map(|b| {
            let buf = b.alloc_kv(shape).unwrap();
            b.write(buf, values).unwrap();
            buf
        })
    }

    /// Frees buffers on both backends.
    pub(crate) fn free<const N: usize>(&mut self, bufs: [Both; N]) {
        for [tested, twin] in bufs {
            self.backends[0].free(tested);
            self.backends[1].free(twin);
        }
    }

    /// Calls `op` with each backend and the index of its handle in [`Both`].
    pub(crate) fn run(&mut self, op: impl Fn(&mut dyn Backend, usize)) {
        for (i, backend) in self.backends.iter_mut().enumerate() {
            op(backend.as_mut(), i);
        }
    }

    /// Compares a buffer that held `before`. The elements that are `written` must agree, the others
    /// must hold what they did. The error is relative to their mean square, but to `typical` at least:
    /// a single sum may cancel to next to nothing.
    pub(crate) fn compare(
        &mut self,
        (op, class): (&'static str, &str),
        shape: impl Display,
        buf: Both,
        before: &[f32],
        typical: f64,
        written: impl Fn(usize) -> bool,
    ) {
        let [tested, twin] = [0, 1].map(|i| {
            let mut values = vec![0.0; before.len()];
            self.backends[i].read(buf[i], &mut values).unwrap();
            values
        });
        let unchanged = |values: &[f32], i: usize| values[i].to_bits() == before[i].to_bits();
        let spilled = |values| (0..before.len()).find(|i| !written(*i) && !unchanged(values, *i));
        let pick = |values: &[f32]| -> Vec<f32> {
            (0..before.len()).filter(|i| written(*i)).map(|i| values[i]).collect()
        };
        let (error, shape) = match (spilled(&tested), spilled(&twin)) {
            (Some(i), _) => (f64::INFINITY, format!("{shape}: wrote element {i}")),
            (_, Some(i)) => (f64::INFINITY, format!("{shape}: the CPU wrote element {i}")),
            _ => (relative_error(&pick(&tested), &pick(&twin), typical), shape.to_string()),
        };
        self.note(op, class, shape, error);
    }

    fn note(&mut self, op: &'static str, class: &str, shape: String, error: f64) {
        let error = if error.is_nan() { f64::INFINITY } else { error };
        let at = self.rows.iter().position(|r| r.op == op && r.class == class).unwrap_or_else(|| {
            let class = class.to_owned();
            self.rows.push(Row { op, class, shapes: 0, worst: -1.0, worst_shape: String::new() });
            self.rows.len() - 1
        });
        let row = &mut self.rows[at];
        row.shapes += 1;
        if error > row.worst {
            row.worst = error;
            row.worst_shape = shape;
        }
    }

    /// Prints the table; fails if a row is over its bound.
    pub(crate) fn assert_agreement(&self) {
        let mut text = format!("{}\n", self.title);
        let mut failed = 0;
        for Row { op, class, shapes, worst, worst_shape } in &self.rows {
            let is_over = match self.activations {
                Activations::Int8 => *worst > int8_bound(op),
                Activations::F32 | Activations::Auto => *worst > bound(op),
            };
            failed += usize::from(is_over);
            let mark = if is_over { "FAILED" } else { "" };
            text += &format!("{op:18} {class:24} {shapes:5} shapes  {worst:8.1e}  {worst_shape} {mark}\n");
        }
        println!("{text}");
        assert_eq!(failed, 0, "rows of the table are over their bound:\n{text}");
    }
}

/// The NMSE, where each element of `reference` counts for a mean square of `typical` at least.
pub(crate) fn relative_error(tested: &[f32], reference: &[f32], typical: f64) -> f64 {
    let square = |v: f64| v * v;
    let differences = tested.iter().zip(reference).map(|(t, r)| f64::from(*t) - f64::from(*r));
    let error: f64 = differences.map(square).sum();
    let power: f64 = reference.iter().map(|r| square(f64::from(*r))).sum();
    if error == 0.0 { 0.0 } else { error / power.max(typical * reference.len() as f64) }
}
