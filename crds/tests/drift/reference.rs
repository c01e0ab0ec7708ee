//! The reference of both kinds as a page: every field with its type, default, bounds and meaning, every rule with its
//! message.

use std::fmt::Write;

use serde_json::Value;

const HEAD: &str = "<!-- @generated from the types in crds/src; to write it anew: UPDATE=1 cargo test -p barrage-crds --test drift -->
# LiveRoom and RoomPool

The two kinds of `barrage.live/v1alpha1`. A `RoomPool` says what rooms run in, a `LiveRoom` is a room. The CRDs are in
[`yaml/`](yaml), a manifest for each common case in [`examples/`](examples). `kubectl explain liveroom.spec` shows the same.

Fields marked * have to be set. Everything in `status` is written by the operator.
";

/// The page for these CRDs.
pub(crate) fn page(crds: &[Value]) -> String {
    let mut page = HEAD.to_owned();
    for crd in crds {
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        let names = &crd["spec"]["names"];
        line(&mut page, &format!("\n## {}\n", text(&names["kind"])));
        line(&mut page, &format!("{} Short name `{}`.", text(&schema["description"]), text(&names["shortNames"][0])));
        columns(&mut page, &crd["spec"]["versions"][0]["additionalPrinterColumns"]);
        for part in ["spec", "status"] {
            line(&mut page, &format!("\n### `{part}`\n"));
            line(&mut page, "| field | type | default | meaning |\n|---|---|---|---|");
            fields(&mut page, &schema["properties"][part], "");
        }
        rules(&mut page, schema);
    }
    page
}

fn line(page: &mut String, text: &str) {
    writeln!(page, "{text}").unwrap();
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn columns(page: &mut String, columns: &Value) {
    line(page, "\n`kubectl get` shows (those marked ° with `-o wide`):\n\n| column | meaning |\n|---|---|");
    for column in columns.as_array().into_iter().flatten() {
        let wide = if column["priority"].as_i64().unwrap_or_default() > 0 { "°" } else { "" };
        let meaning = column["description"].as_str().unwrap_or("Since when it exists");
        line(page, &format!("| {}{wide} | {meaning} |", text(&column["name"])));
    }
}

fn fields(page: &mut String, schema: &Value, path: &str) {
    let required: Vec<_> = schema["required"].as_array().into_iter().flatten().map(text).collect();
    for (name, field) in sorted(&schema["properties"]) {
        let (path, mark) = (format!("{path}{name}"), if required.contains(&name) { "*" } else { "" });
        let default = field.get("default").map(|default| format!("`{default}`")).unwrap_or_default();
        let meaning = text(&field["description"]).replace('\n', " ").replace('|', "\\|");
        line(page, &format!("| `{path}`{mark} | {} | {default} | {meaning} |", kind(field)));
        fields(page, field, &format!("{path}."));
        fields(page, &field["items"], &format!("{path}[]."));
    }
}

/// By name: whether serde_json sorts hangs on what else is built beside it.
fn sorted(properties: &Value) -> Vec<(&str, &Value)> {
    let mut sorted: Vec<_> = properties.as_object().into_iter().flatten().map(|(n, f)| (n.as_str(), f)).collect();
    sorted.sort_by_key(|(name, _)| *name);
    sorted
}

fn kind(field: &Value) -> String {
    if let Some(options) = field["enum"].as_array() {
        return options.iter().map(|option| format!("`{}`", text(option))).collect::<Vec<_>>().join(", ");
    }
    let number = |name: &str| field[name].as_f64().map(|bound| format!("{bound:.0}"));
    let range = match (number("minimum"), number("maximum")) {
        (Some(min), Some(max)) => format!(", {min} to {max}"),
        (Some(min), None) => format!(", from {min}"),
        _ => String::new(),
    };
    let pattern = field["pattern"].as_str().map(|p| format!(", `{}`", p.replace('|', "\\|"))).unwrap_or_default();
    match text(&field["type"]) {
        "array" => format!("list of {}", kind(&field["items"])),
        "object" if field.get("additionalProperties").is_some() => "map of strings".to_owned(),
        other => format!("{other}{range}{pattern}"),
    }
}

fn rules(page: &mut String, schema: &Value) {
    line(page, "\n### Rules\n");
    let mut found = Vec::new();
    collect(schema, &mut found);
    for message in found {
        line(page, &format!("- {message}"));
    }
}

fn collect<'v>(schema: &'v Value, found: &mut Vec<&'v str>) {
    let rules = schema["x-kubernetes-validations"].as_array().into_iter().flatten();
    found.extend(rules.map(|rule| text(&rule["message"])));
    for (_, field) in sorted(&schema["properties"]) {
        collect(field, found);
    }
}
