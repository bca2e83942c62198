//! What goes wrong: 1 and one line that says why, 2 for arguments that make no sense, and never a
//! panic.

use std::process::Stdio;

use halfbyte_tests::patched_gguf::with_strings;

use crate::{Folder, Run, command, quiet, run, tiny};

/// Runs a job that fails; its one line.
fn failure(args: &[&str]) -> String {
    let run = run(args);
    assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{args:?}: {}", run.stderr);
    let line = run.stderr.strip_suffix('\n').and_then(|line| line.strip_prefix("error: "));
    let line = line.unwrap_or_else(|| panic!("{args:?}: {:?}", run.stderr));
    assert!(!line.contains('\n'), "one line: {line}");
    line.to_owned()
}

/// Every command on a model, with arguments that would do.
fn commands(model: &str, folder: &Folder) -> Vec<Vec<String>> {
    let messages = folder.write("messages.json", r#"[{"role": "user", "content": "Hi"}]"#);
    let output = folder.path("out.safetensors");
    let commands: [&[&str]; 8] = [
        &["chat", model, "Hi", "--backend", "cpu"],
        &["run", model, "--prompt", "Hi", "--backend", "cpu"],
        &["bench", model, "--backend", "cpu"],
        &["inspect", model],
        &["tokenize", model, "--text", "Hi"],
        &["render", model, "--messages", &messages],
        &["logits", model, "--ids", "1", "--backend", "cpu", "--output", &output],
        &["perplexity", model, "--ids", "1,2", "--backend", "cpu"],
    ];
    commands.iter().map(|words| words.iter().map(|word| (*word).to_owned()).collect()).collect()
}

fn all_fail(model: &str, folder: &Folder, reason: &str) {
    for words in commands(model, folder) {
        let line = failure(&words.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(line.contains(reason), "{words:?}: {line}");
    }
}

#[test]
fn a_missing_file_is_named() {
    let folder = Folder::new();
    let model = folder.path("nowhere.gguf");
    all_fail(&model, &folder, &format!("cannot read {model}: "));
}

#[test]
fn a_file_that_is_no_model_is_refused() {
    let folder = Folder::new();
    let model = folder.write("page.gguf", "<!DOCTYPE html><p>Not found");
    all_fail(&model, &folder, "instead of \"GGUF\"");
}

#[test]
fn a_file_that_was_cut_off_is_refused() {
    let folder = Folder::new();
    let whole = std::fs::read(tiny()).unwrap();
    for share in [3, 2] {
        let model = folder.write("cut.gguf", &whole[..whole.len() / 4 * share]);
        all_fail(&model, &folder, "not a usable GGUF file: ");
    }
}

/// A sound file of something that is not run, by the strings of the tiny model that are other.
#[test]
fn a_model_that_is_not_run_is_named() {
    let folder = Folder::new();
    for (changes, reason) in [
        (("llama", "dream"), "architecture `dream` is not run; these are: llama, "),
        (("llama", "qwen3moe"), "architecture `qwen3moe` is not run; these are: llama, "),
        (
            ("llama.rope.dimension_count", "llama.expert_count"),
            "architecture `llama` with a mixture of 16 experts",
        ),
        (("llama-bpe", "new-bpe"), "the pre-tokenizer \"new-bpe\" is not known; these are: gpt-2, "),
        (("gpt2", "t5"), "the tokenizer model \"t5\" is not known; these are: "),
    ] {
        let model = folder.write("model.gguf", with_strings(&std::fs::read(tiny()).unwrap(), &[changes]));
        for backend in ["cpu", "gpu"] {
            let line = failure(&["run", &model, "--prompt", "Hi", "--backend", backend]);
            assert!(line.starts_with(&format!("unsupported model: {reason}")), "{line}");
        }
        let text = quiet(&["inspect", &model]).stdout;
        assert!(text.contains(&format!("This model cannot be run: unsupported model: {reason}")), "{text}");
    }
}

#[test]
fn a_context_beyond_the_model_says_what_is_possible() {
    let ids = vec!["1"; 513].join(",");
    let folder = Folder::new();
    let output = folder.path("out");
    for args in [
        &["chat", &tiny(), "Hi", "--backend", "cpu", "--ctx", "513"][..],
        &["run", &tiny(), "--prompt", "Hi", "--backend", "cpu", "--ctx", "513"],
        &["bench", &tiny(), "--backend", "cpu"],
        &["perplexity", &tiny(), "--ids", "1,2", "--backend", "cpu", "--ctx", "513"],
        &["logits", &tiny(), "--ids", &ids, "--backend", "cpu", "--output", &output],
    ] {
        let run = run(args);
        assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{args:?}");
        let last = run.stderr.lines().last().unwrap();
        assert!(last.starts_with("error: a context of 5"), "{args:?}: {last}");
        assert!(last.contains("1 to 512"), "{last}");
    }
}

#[test]
fn ids_beyond_the_vocabulary_are_refused() {
    let folder = Folder::new();
    let output = folder.path("out");
    for args in [
        &["run", &tiny(), "--ids", "1,320", "--backend", "cpu"][..],
        &["logits", &tiny(), "--ids", "320", "--backend", "cpu", "--output", &output],
        &["perplexity", &tiny(), "--ids", "1,320", "--backend", "cpu"],
    ] {
        assert!(failure(args).contains("token 320 is "), "{args:?}");
    }
    assert!(!std::path::Path::new(&output).exists(), "a failed job leaves no file");
}

#[test]
fn other_failures_are_clear() {
    let folder = Folder::new();
    let words = folder.write("words", "one two");
    let letter = folder.write("letter", "");
    let nowhere = folder.path("no/where");
    let model = tiny();
    for (args, reason) in [
        (&["run", &model, "--ids", &format!("@{words}"), "--backend", "cpu"][..], "whole numbers"),
        (&["run", &model, "--ids", &format!("@{nowhere}"), "--backend", "cpu"], "cannot read"),
        (&["tokenize", &model, "--file", &nowhere], "cannot read"),
        (&["perplexity", &model, "--file", &letter, "--backend", "cpu"], "at least 2 tokens"),
        (&["perplexity", &model, "--ids", "1", "--backend", "cpu"], "at least 2 tokens"),
        (&["logits", &model, "--ids", "1", "--backend", "cpu", "--output", &nowhere], "cannot write"),
    ] {
        let line = failure(args);
        assert!(line.contains(reason), "{args:?}: {line}");
    }
}

/// The Vulkan loader then finds no driver.
#[cfg(target_os = "linux")]
#[test]
fn without_a_gpu_auto_says_why_it_runs_on_the_cpu() {
    let on = |backend: &str| {
        let mut command = command(["run", &tiny(), "--ids", "1", "--max-tokens", "2", "--backend", backend]);
        command.env("VK_DRIVER_FILES", "/nowhere").env("VK_ICD_FILENAMES", "/nowhere");
        Run::new(command.output().unwrap())
    };
    let auto = on("auto");
    assert_eq!(auto.code, 0, "{}", auto.stderr);
    assert!(auto.stderr.starts_with("warning: no usable GPU: "), "{}", auto.stderr);
    assert!(auto.stderr.ends_with("; running on the CPU\n"), "{}", auto.stderr);
    let gpu = on("gpu");
    assert_eq!((gpu.code, gpu.stdout.as_str()), (1, ""));
    assert!(gpu.stderr.starts_with("error: no usable GPU: "), "{}", gpu.stderr);
}

#[test]
fn wrong_usage_is_told_apart() {
    let model = tiny();
    for (args, reason) in [
        (&[][..], "Usage: halfbyte"),
        (&["sing"], "unrecognized subcommand"),
        (&["chat"], "required"),
        (&["chat", &model, "--json"], "QUESTION"),
        (&["chat", &model, "Hi", "--backend", "npu"], "possible values: auto, gpu, cpu"),
        (&["run", &model], "--prompt <TEXT>|--ids <IDS>"),
        (&["run", &model, "--prompt", "a", "--ids", "1"], "cannot be used with"),
        (&["run", &model, "--ids", "1,x"], "whole numbers"),
        (&["run", &model, "--ids", ""], "whole numbers"),
        (&["run", &model, "--ids", "4294967296"], "whole numbers"),
        (&["run", &model, "--prompt", "a", "--temperature", "-1"], "at least 0"),
        (&["run", &model, "--prompt", "a", "--temperature=NaN"], "at least 0"),
        (&["run", &model, "--prompt", "a", "--top-p", "0"], "above 0 and at most 1"),
        (&["run", &model, "--prompt", "a", "--min-p", "1.5"], "from 0 to 1"),
        (&["run", &model, "--prompt", "a", "--repetition-penalty", "0"], "above 0"),
        (&["run", &model, "--prompt", "a", "--ctx", "0"], "at least 1"),
        (&["run", &model, "--prompt", "a", "--stop", ""], "--stop"),
        (&["tokenize", &model], "--text <TEXT>|--file <FILE>"),
        (&["render", &model], "--messages"),
        (&["logits", &model, "--ids", "1"], "--output"),
        (&["perplexity", &model, "--ids", "1,2", "--ctx", "1"], "--ctx must be at least 2"),
        (&["bench", &model, "--ctx", "10"], "--ctx has room for 10"),
    ] {
        let run = run(args);
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{args:?}: {}", run.stderr);
        assert!(run.stderr.contains(reason), "{args:?}: {}", run.stderr);
    }
}

#[test]
fn help_teaches() {
    for name in ["chat", "run", "bench", "inspect", "tokenize", "render", "logits", "perplexity"] {
        let help = quiet(&[name, "--help"]).stdout;
        assert!(help.contains(&format!("\n  halfbyte {name} model.gguf")), "{name} has no example");
        assert!(quiet(&["--help"]).stdout.contains(&format!("\n  {name} ")), "{name} is not listed");
    }
    assert!(quiet(&["--help"]).stdout.contains("Exit codes: 0 done"));
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    for args in [&["inspect", &tiny()][..], &["run", &tiny(), "--prompt", "a", "--backend", "cpu"]] {
        let mut command = command(args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let run = Run::new(child.wait_with_output().unwrap());
        assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{args:?}");
    }
}
