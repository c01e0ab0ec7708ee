//! Who may do what, and what pods run with.

use saphyr::Yaml;

use crate::{Objects, field, text, value_sets};

fn set_of(values: &std::path::Path) -> String {
    values.file_stem().unwrap().to_string_lossy().into_owned()
}

/// The pods of everything that has some.
fn pods<'o, 'i>(objects: &'o [Yaml<'i>]) -> Vec<(&'o str, &'o Yaml<'i>)> {
    let spec = |object: &'o Yaml<'i>| match text(&object["kind"]) {
        "Deployment" | "StatefulSet" => field(object, &["spec", "template", "spec"]),
        "Pod" => field(object, &["spec"]),
        _ => None,
    };
    objects.iter().filter_map(|object| Some((text(&object["metadata"]["name"]), spec(object)?))).collect()
}

#[test]
fn pods_have_no_rights_on_their_nodes() {
    for values in value_sets() {
        let objects = Objects::of(&set_of(&values), &[]);
        let all = objects.all();
        assert!(!pods(&all).is_empty());
        for (name, pod) in pods(&all) {
            let security = &pod["securityContext"];
            assert_eq!(security["runAsNonRoot"].as_bool(), Some(true), "{name}");
            assert_eq!(text(&security["seccompProfile"]["type"]), "RuntimeDefault", "{name}");
            let containers = [field(pod, &["containers"]), field(pod, &["initContainers"])];
            for container in containers.into_iter().flatten().flat_map(|list| list.as_sequence().unwrap()) {
                let security = &container["securityContext"];
                assert_eq!(security["readOnlyRootFilesystem"].as_bool(), Some(true), "{name}");
                assert_eq!(security["allowPrivilegeEscalation"].as_bool(), Some(false), "{name}");
                assert_eq!(text(&security["capabilities"]["drop"][0]), "ALL", "{name}");
                assert!(field(container, &["resources", "requests", "memory"]).is_some(), "{name}");
                assert!(field(container, &["resources", "limits", "memory"]).is_some(), "{name}");
                let image = text(&container["image"]);
                assert!(image.contains(':') && !image.ends_with(":latest"), "{name}: {image}");
            }
        }
    }
}

/// Words in the rules of roles of a kind.
fn may(objects: &Objects, kind: &str, resource: &str) -> bool {
    let roles = objects.of_kind(kind);
    let rules = roles.iter().flat_map(|role| role["rules"].as_sequence().unwrap());
    rules.flat_map(|rule| rule["resources"].as_sequence().unwrap()).any(|one| text(one) == resource)
}

#[test]
fn nobody_may_read_secrets_of_all_namespaces() {
    for values in value_sets() {
        let objects = Objects::of(&set_of(&values), &[]);
        assert!(!may(&objects, "ClusterRole", "secrets"), "{}", values.display());
        assert!(may(&objects, "Role", "secrets"), "{}", values.display());
    }
}

#[test]
fn rights_follow_the_namespaces_that_are_watched() {
    let objects = Objects::of("watched", &[]);
    assert_eq!(objects.of_kind("ClusterRole").len() + objects.of_kind("ClusterRoleBinding").len(), 0);
    let mut namespaces: Vec<_> = objects
        .of_kind("RoleBinding")
        .iter()
        .filter(|binding| !text(&binding["metadata"]["name"]).ends_with("-lease"))
        .map(|binding| text(&binding["metadata"]["namespace"]).to_owned())
        .collect();
    namespaces.sort();
    assert_eq!(namespaces, ["games", "live", "shows"]);
}

#[test]
fn nothing_is_granted_by_a_star() {
    for values in value_sets() {
        let objects = Objects::of(&set_of(&values), &[]);
        let roles = [objects.of_kind("Role"), objects.of_kind("ClusterRole")].concat();
        for rule in roles.iter().flat_map(|role| role["rules"].as_sequence().unwrap()) {
            for list in ["apiGroups", "resources", "verbs"] {
                let words = rule[list].as_sequence().unwrap();
                assert!(!words.iter().any(|word| text(word).contains('*')), "{rule:?}");
            }
        }
    }
}
