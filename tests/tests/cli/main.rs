//! The command line, driven as a user drives it: arguments in; exit code, standard output and standard
//! error out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod answers;
mod chat;
mod failures;
mod numbers;
mod prompts;

use std::env::consts::EXE_SUFFIX;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use halfbyte::Gguf;
use halfbyte_tests::fixtures;
use halfbyte_tests::patched_gguf::with_strings;
use serde_json::Value;
use tempfile::TempDir;

/// The program, which lies beside the folder of the tests.
fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().and_then(Path::parent).unwrap();
    let program = folder.join(format!("halfbyte{EXE_SUFFIX}"));
    assert!(
        program.is_file(),
        "{} is missing: build it with `cargo build --release -p halfbyte-desktop`",
        program.display()
    );
    program
}

fn command<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(program());
    command.args(args).env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

/// What a run of the program left.
#[derive(Debug)]
struct Run {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Run {
    fn new(output: Output) -> Run {
        Run {
            code: output.status.code().expect("an exit code, not a signal"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).expect("standard output is JSON and nothing else")
    }
}

/// Runs the program to its end.
fn run(args: &[&str]) -> Run {
    Run::new(command(args).output().unwrap())
}

/// Runs the program, which must succeed and have nothing to say but the result.
fn quiet(args: &[&str]) -> Run {
    let run = run(args);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{args:?}");
    run
}

/// The tiny model: 512 tokens of context, 320 tokens of vocabulary, Q4_0, a chat template.
fn tiny() -> String {
    fixtures::path("tiny/llama-s.Q4_0.gguf").into_os_string().into_string().unwrap()
}

/// A folder for the files of a test.
struct Folder(TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(TempDir::new().unwrap())
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).into_os_string().into_string().unwrap()
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        std::fs::write(self.path(name), content).unwrap();
        self.path(name)
    }
}

/// The bytes of the tiny model with `old`, which it has once, replaced.
fn patched(old: &[u8], new: &[u8]) -> Vec<u8> {
    patch(std::fs::read(tiny()).unwrap(), old, new)
}

fn patch(mut bytes: Vec<u8>, old: &[u8], new: &[u8]) -> Vec<u8> {
    assert_eq!(old.len(), new.len());
    let places: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at..].starts_with(old)).collect();
    assert_eq!(places.len(), 1, "the place is not unique");
    bytes[places[0]..][..old.len()].copy_from_slice(new);
    bytes
}

/// The tiny model with another chat template.
fn with_template(template: &str) -> Vec<u8> {
    let gguf = Gguf::open(tiny()).unwrap();
    let own = gguf.get_str("tokenizer.chat_template").unwrap().unwrap();
    with_strings(&std::fs::read(tiny()).unwrap(), &[(own, template)])
}

/// The tiny model without its chat template.
fn without_template() -> Vec<u8> {
    let renamed = ("tokenizer.chat_template", "tokenizer.chat_templatX");
    with_strings(&std::fs::read(tiny()).unwrap(), &[renamed])
}

/// The tiny model without its chat template and without the control token that tells its format.
fn without_format() -> Vec<u8> {
    with_strings(&without_template(), &[("<|im_start|>", "<|im_other|>")])
}

/// The tiny model with a long context and a last norm of zeros: every logit is 0, so the likeliest
/// token is always the first, `!`, and an answer ends when the context does.
fn endless() -> Vec<u8> {
    let norm = Gguf::open(tiny()).unwrap().tensor("output_norm.weight").unwrap();
    let bytes = patched(norm.bytes(), &vec![0; norm.bytes().len()]);
    let length = |n: u32| [b"llama.context_length\x04\0\0\0", &n.to_le_bytes()[..]].concat();
    patch(bytes, &length(512), &length(1 << 20))
}
