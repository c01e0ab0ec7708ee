//! Settings as text: the reference, which is a settings file itself, and what a role would run with.

use std::fmt::Write;

use toml::{Table, Value as Toml};

use super::{
    Role,
    catalog::{self, Setting},
    raw::Raw,
};

const HEAD: &str = "\
# Settings of `barrage gateway`, `barrage consumer` and `barrage ranker`; this is a settings file with all defaults.
# Give it with --config FILE or BARRAGE_CONFIG. Variables are stronger than the file, flags stronger than variables:
# kafka.brokers is BARRAGE_KAFKA_BROKERS and --kafka-brokers; commas part the items of a list there.
# `barrage config --check ROLE` says what a role would run with. What is logged is set by --log-level and BARRAGE_LOG.
";

/// All settings with documentation, variables and defaults.
#[must_use]
pub fn reference() -> String {
    let mut text = HEAD.to_owned();
    print(&mut text, None, |text, setting| {
        text.push('\n');
        for line in setting.doc {
            text.push_str(&format!("#{line}\n"));
        }
        text.push_str(&format!("# {}\n", setting.env));
        match setting.default_toml() {
            Some(default) => text.push_str(&format!("{} = {default}\n", setting.key)),
            None => text.push_str(&format!("#{} =\n", setting.key)),
        }
    });
    text
}

/// What is set, for the sections of a role.
pub(super) fn values(role: Role, raw: &Raw) -> String {
    let table = Table::try_from(raw).unwrap_or_default();
    let mut text = format!("# A {role} would run with these settings.\n");
    print(&mut text, Some(role), |text, setting| {
        let values =
            setting.section.as_ref().map_or(Some(&table), |section| table.get(section).and_then(Toml::as_table));
        if let Some(value) = values.and_then(|values| values.get(&setting.key)) {
            text.push_str(&format!("{} = {value}\n", setting.key));
        }
    });
    text
}

fn print(text: &mut String, role: Option<Role>, mut entry: impl FnMut(&mut String, &Setting)) {
    let settings = catalog::settings();
    for setting in settings.iter().filter(|setting| setting.section.is_none()) {
        entry(text, setting);
    }
    for (section, doc) in catalog::sections() {
        if section == "gateway" && role.is_some_and(|role| role != Role::Gateway) {
            continue;
        }
        let about = doc.iter().map(|line| format!("#{line}\n")).collect::<String>();
        // Writing to a string cannot fail.
        let _ = write!(text, "\n{about}[{section}]\n");
        for setting in settings.iter().filter(|setting| setting.section.as_ref() == Some(&section)) {
            entry(text, setting);
        }
    }
}
