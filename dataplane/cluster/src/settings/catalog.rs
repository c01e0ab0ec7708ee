//! The list of all settings with their names, defaults and documentation, as [`super::raw`] defines them.

use clap::Arg;
use confique::{
    Config,
    meta::{Expr, FieldKind, LeafKind, Meta},
};

use super::{Role, raw::Raw};

/// One setting.
pub(super) struct Setting {
    /// The section that it stands in; none for the few at the top of the file.
    pub(super) section: Option<String>,
    /// Its name there.
    pub(super) key: String,
    /// The variable that sets it.
    pub(super) env: &'static str,
    /// What it is.
    pub(super) doc: &'static [&'static str],
    /// What holds when nobody says anything.
    pub(super) default: Option<Expr>,
}

impl Setting {
    /// `section.key`, as errors name it.
    pub(super) fn path(&self) -> String {
        self.section.iter().chain([&self.key]).map(String::as_str).collect::<Vec<_>>().join(".")
    }

    /// The flag without its dashes.
    pub(super) fn flag(&self) -> String {
        self.path().replace('.', "-")
    }

    /// The default as TOML.
    pub(super) fn default_toml(&self) -> Option<String> {
        Some(toml::Value::try_from(self.default?).ok()?.to_string())
    }
}

/// All settings in the order of the reference.
pub(super) fn settings() -> Vec<Setting> {
    let mut settings = Vec::new();
    collect(&Raw::META, None, &mut settings);
    settings
}

/// The sections with what they are about, in the order of the reference.
pub(super) fn sections() -> Vec<(String, &'static [&'static str])> {
    let nested = Raw::META.fields.iter().filter(|field| matches!(field.kind, FieldKind::Nested { .. }));
    nested.map(|field| (written(field.name), field.doc)).collect()
}

/// Gives each flag of `role` its default and its variable in the help, and hides those of other roles.
pub fn describe(role: Role) -> impl FnMut(Arg) -> Arg {
    let settings = settings();
    move |arg| {
        let Some(setting) = settings.iter().find(|setting| setting.flag() == arg.get_id().as_str()) else {
            return arg;
        };
        let mut help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        if let Some(default) = setting.default_toml() {
            help += &format!(" [default: {default}]");
        }
        help += &format!(" [env: {}]", setting.env);
        let hidden = match setting.path().as_str() {
            "link.listen" | "link.advertise" => role != Role::Ranker,
            path => path.starts_with("gateway.") && role != Role::Gateway,
        };
        arg.help(help).hide(hidden)
    }
}

fn collect(meta: &Meta, section: Option<&str>, settings: &mut Vec<Setting>) {
    for field in meta.fields {
        match field.kind {
            FieldKind::Leaf { env, kind } => settings.push(Setting {
                section: section.map(ToOwned::to_owned),
                key: written(field.name),
                env: env.unwrap_or_default(),
                doc: field.doc,
                default: match kind {
                    LeafKind::Required { default } => default,
                    LeafKind::Optional => None,
                },
            }),
            FieldKind::Nested { meta } => collect(meta, Some(&written(field.name)), settings),
        }
    }
}

/// As it stands in files: fields of Rust cannot have dashes in their names.
fn written(field: &str) -> String {
    field.replace('_', "-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Args;

    #[test]
    fn file_environment_and_flags_use_one_name() {
        let command = <Raw as Config>::Layer::augment_args(clap::Command::new("test"));
        let flags: Vec<_> = command.get_arguments().filter_map(|arg| arg.get_long()).collect();
        let settings = settings();
        assert_eq!(flags, settings.iter().map(Setting::flag).collect::<Vec<_>>());
        for setting in &settings {
            let variable = format!("BARRAGE_{}", setting.flag().replace('-', "_").to_uppercase());
            assert_eq!(setting.env, variable, "{}", setting.path());
            assert!(!setting.doc.is_empty(), "{} is not documented", setting.path());
        }
    }
}
