//! Settings of the roles as somebody meets them: what the program says about bad ones, which source wins, and that the
//! reference works as a file.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use barrage_e2e::server::binary;
use tempfile::TempDir;

const PASSWORD: &str = "hunter2";

/// A folder with every file that a role needs; the program runs in it.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let pem = |kind: &str| format!("-----BEGIN {kind}-----\nAAAA\n-----END {kind}-----\n");
    let key = "k".repeat(43);
    let files = [
        ("cert.pem", pem("CERTIFICATE")),
        ("key.pem", pem("PRIVATE KEY")),
        ("password", format!("{PASSWORD}\n")),
        ("keys.json", format!(r#"{{"keys":[{{"kty":"oct","kid":"a","alg":"HS256","k":"{key}"}}]}}"#)),
        ("link.toml", "[link]\nca-file = 'cert.pem'\ncert-file = 'cert.pem'\nkey-file = 'key.pem'\n".to_owned()),
    ];
    for (name, content) in files {
        fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

/// Runs the program with these arguments and variables, and no other `BARRAGE_` ones.
fn barrage(folder: &Path, arguments: &str, variables: &[(&str, &str)]) -> (bool, String, String) {
    let mut command = Command::new(binary().unwrap());
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("BARRAGE_")) {
        command.env_remove(name);
    }
    command.current_dir(folder).args(arguments.split_whitespace()).envs(variables.iter().copied());
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.success(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[track_caller]
fn assert_says(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "{part:?} is not in:\n{said}");
    }
}

#[test]
fn one_start_names_all_that_is_wrong_in_file_environment_and_flags() {
    let folder = folder();
    let file = "poool = 'x'\n[kafka]\nusername = 'u'\npassword = 'hunter2'\n[redis]\npassword-file = 'absent'\n\
        [link]\ncert-file = 'key.pem'\n";
    fs::write(folder.path().join("bad.toml"), file).unwrap();
    let variables = [("BARRAGE_KAFKA_BROKER", PASSWORD), ("BARRAGE_GATEWAY_SHARDS", "many"), ("BARRAGE_LOG", "info")];
    let flags = "gateway --config bad.toml --gateway-idle-timeout-s 1 --kafka-sasl-mechanism GSSAPI";
    let (success, stdout, stderr) = barrage(folder.path(), flags, &variables);
    assert!(!success && stdout.is_empty());
    let expected = [
        "poool is not a setting; allowed: pool, name",
        "kafka.password is not a setting; allowed: in [kafka], brokers",
        "BARRAGE_KAFKA_BROKER is not the variable of a setting; allowed: BARRAGE_KAFKA_BROKERS",
        "kafka.password-file is not set; allowed: a value, because kafka.username is set",
        "kafka.sasl-mechanism is \"GSSAPI\"; allowed: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
        "redis.password-file is \"absent\", which cannot be read",
        "link.ca-file is not set",
        "link.cert-file is \"key.pem\", which holds something else; allowed: a PEM file",
        "link.key-file is not set",
        "gateway.shards is \"many\"; allowed: a whole number from 1 to 256",
        "gateway.idle-timeout-s is \"1\"; allowed: a whole number from 2 to 3600",
        "gateway.keys-file is not set",
    ];
    assert_says(&stderr, &expected);
    let refusals = stderr.lines().filter(|line| line.contains("; allowed: ")).count();
    assert_eq!(refusals, expected.len(), "{stderr}");
    assert!(!stderr.contains(PASSWORD), "{stderr}");
}

#[test]
fn flags_win_over_variables_and_variables_over_the_file() {
    let folder = folder();
    let file = "pool = 'file'\nname = 'file'\nadmin.listen = '127.0.0.1:1'\nkafka.tls = true\n\
        kafka.brokers = ['a:1']\nkafka.username = 'u'\nkafka.password-file = 'password'\n";
    let link = fs::read_to_string(folder.path().join("link.toml")).unwrap();
    fs::write(folder.path().join("all.toml"), format!("{file}{link}")).unwrap();
    let variables =
        [("BARRAGE_CONFIG", "all.toml"), ("BARRAGE_POOL", "variable"), ("BARRAGE_KAFKA_BROKERS", "b:2,c:3")];
    let (success, shown, stderr) = barrage(folder.path(), "config --check ranker", &variables);
    assert!(success, "{stderr}");
    let expected = ["pool = \"variable\"", "name = \"file\"", "brokers = \"b:2,c:3\"", "password-file = \"password\""];
    assert_says(&shown, &expected);
    assert!(!shown.contains(PASSWORD) && !shown.contains("[gateway]"), "{shown}");
    // What is right for a role gets it past its settings; what is wrong in a flag shows that the flag was taken.
    let (_, _, stderr) = barrage(folder.path(), "ranker --pool FLAG", &variables);
    assert_says(&stderr, &["pool is \"FLAG\""]);
    let (_, _, stderr) = barrage(folder.path(), "ranker --kafka-tls=false --kafka-ca-file cert.pem", &variables);
    assert_says(&stderr, &["kafka.ca-file is \"cert.pem\"; allowed: only with kafka.tls = true"]);
}

#[test]
fn the_reference_works_as_a_file_and_what_is_checked_can_be_given_back() {
    let folder = folder();
    let (success, reference, _) = barrage(folder.path(), "config", &[]);
    assert!(success);
    assert_says(
        &reference,
        &["[kafka]", "# BARRAGE_GATEWAY_IDLE_TIMEOUT_S\nidle-timeout-s = 60\n", "#password-file =\n"],
    );
    fs::write(folder.path().join("reference.toml"), reference).unwrap();
    let files = [
        ("BARRAGE_LINK_CA_FILE", "cert.pem"),
        ("BARRAGE_LINK_CERT_FILE", "cert.pem"),
        ("BARRAGE_LINK_KEY_FILE", "key.pem"),
        ("BARRAGE_GATEWAY_KEYS_FILE", "keys.json"),
    ];
    let check = "config --check gateway --config";
    let (success, first, stderr) = barrage(folder.path(), &format!("{check} reference.toml"), &files);
    assert!(success, "{stderr}");
    fs::write(folder.path().join("first.toml"), &first).unwrap();
    let (success, second, stderr) = barrage(folder.path(), &format!("{check} first.toml"), &[]);
    assert!(success && second == first, "{stderr}\n{second}");
}

#[test]
fn what_stands_around_in_a_pod_does_not_keep_a_role_from_starting() {
    let folder = folder();
    let service = [
        ("BARRAGE_GATEWAY_SERVICE_HOST", "10.96.0.7"),
        ("BARRAGE_GATEWAY_PORT", "tcp://10.96.0.7:80"),
        ("BARRAGE_GATEWAY_PORT_80_TCP_PROTO", "tcp"),
        ("BARRAGE_E2E_CACHE", "x"),
    ];
    let (success, _, stderr) = barrage(folder.path(), "config --check consumer --config link.toml", &service);
    assert!(success, "{stderr}");
}

#[test]
fn flags_of_the_gateway_are_refused_elsewhere_and_a_missing_file_is_named() {
    let folder = folder();
    let (success, _, stderr) = barrage(folder.path(), "consumer --config link.toml --gateway-shards 2", &[]);
    assert!(!success);
    assert_says(&stderr, &["--gateway-", "are no flags of a consumer"]);
    let (success, _, stderr) = barrage(folder.path(), "consumer --config absent.toml", &[]);
    assert!(!success);
    assert_says(&stderr, &["absent.toml cannot be read", "barrage config"]);
}

#[test]
fn help_shows_each_role_its_own_flags_with_defaults_and_variables() {
    let folder = folder();
    let (success, gateway, _) = barrage(folder.path(), "gateway --help", &[]);
    assert!(success);
    assert_says(
        &gateway,
        &["--gateway-idle-timeout-s <S>", "[default: 60]", "[env: BARRAGE_GATEWAY_IDLE_TIMEOUT_S]", "Examples:"],
    );
    let (_, ranker, _) = barrage(folder.path(), "ranker --help", &[]);
    assert!(ranker.contains("--link-listen") && !ranker.contains("--gateway-"), "{ranker}");
    assert!(!gateway.contains("--link-listen"), "{gateway}");
}
