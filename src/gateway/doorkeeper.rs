//! Workloads by which requests and tokens come in, as far as their images tell it: whoever
//! stops one of them may not be able to start it again.

/// A workload by which requests or tokens come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doorkeeper {
    /// This program: a bot, or another gateway.
    Own,
    /// An ingress controller.
    Ingress,
    /// An identity provider.
    IdentityProvider,
}

/// The ends of images' paths, and what they run.
const IMAGES: [(&str, Doorkeeper); 9] = [
    ("openclaw-k8s-toggle-operator", Doorkeeper::Own),
    ("ingress-nginx/controller", Doorkeeper::Ingress),
    ("nginx-ingress", Doorkeeper::Ingress),
    ("traefik", Doorkeeper::Ingress),
    ("haproxytech/kubernetes-ingress", Doorkeeper::Ingress),
    ("haproxy-ingress", Doorkeeper::Ingress),
    ("contour", Doorkeeper::Ingress),
    ("keycloak", Doorkeeper::IdentityProvider),
    ("dexidp/dex", Doorkeeper::IdentityProvider),
];

impl Doorkeeper {
    /// The one that a workload with these images is.
    pub(super) fn of(images: &[String]) -> Option<Self> {
        let known = |image: &String| {
            let without_digest = image.split('@').next()?;
            // A colon before the last slash belongs to the registry's port.
            let path = match without_digest.rsplit_once(':') {
                Some((path, tag)) if !tag.contains('/') => path,
                _ => without_digest,
            };
            let is_known = |(end, _): &&(&str, Self)| path.ends_with(end);
            IMAGES.iter().find(is_known).map(|(_, one)| *one)
        };
        images.iter().find_map(known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_known_wherever_it_comes_from() {
        let own = Some(Doorkeeper::Own);
        let ingress = Some(Doorkeeper::Ingress);
        for (image, is) in [
            ("ghcr.io/a/openclaw-k8s-toggle-operator:1.2", own),
            ("localhost:5000/openclaw-k8s-toggle-operator", own),
            (
                "registry.k8s.io/ingress-nginx/controller:v1.11.2@sha256:ab",
                ingress,
            ),
            ("rancher/mirrored-library-traefik:3.3.6", ingress),
            ("traefik", ingress),
            (
                "quay.io/keycloak/keycloak:26.3",
                Some(Doorkeeper::IdentityProvider),
            ),
            ("registry.example.org/team/controller:1", None),
            ("traefik.example.org/app:1", None),
            ("nginx:1.27", None),
            ("", None),
        ] {
            assert_eq!(Doorkeeper::of(&[image.to_owned()]), is, "{image}");
        }
        let two = ["app:1".to_owned(), "traefik:3".to_owned()];
        assert_eq!(Doorkeeper::of(&two), ingress);
    }
}
