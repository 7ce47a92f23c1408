//! The names in a certificate.

use x509_parser::{
    certificate::X509Certificate, extensions::GeneralName, extensions::ParsedExtension,
    oid_registry::OID_X509_EXT_SUBJECT_ALT_NAME, parse_x509_certificate,
};

/// The names in a certificate, without duplicates: the DNS names and URIs of its subject alternative names. If the
/// certificate lacks this extension and has exactly one common name, the result is the common name. Empty if the
/// certificate can't be read.
///
/// A certificate's common name is ignored if it has the extension. Authorities verify the subject alternative names
/// that they sign, but many copy the subject from the request without verification.
pub fn names(certificate: &[u8]) -> Vec<String> {
    let Ok((_, certificate)) = parse_x509_certificate(certificate) else {
        return Vec::new();
    };
    let extension = match certificate.get_extension_unique(&OID_X509_EXT_SUBJECT_ALT_NAME) {
        Ok(Some(extension)) => extension,
        Ok(None) => return common_name(&certificate).into_iter().collect(),
        Err(_) => return Vec::new(),
    };
    // An extension that is present but unreadable holds no names. The common name is ignored even then.
    let ParsedExtension::SubjectAlternativeName(alternatives) = extension.parsed_extension() else {
        return Vec::new();
    };
    let mut names: Vec<String> = Vec::new();
    for name in &alternatives.general_names {
        if let GeneralName::DNSName(name) | GeneralName::URI(name) = name
            && !names.iter().any(|known| known == name)
        {
            names.push((*name).to_owned());
        }
    }
    names
}

/// The common name, if there is exactly one.
fn common_name(certificate: &X509Certificate<'_>) -> Option<String> {
    let mut names = certificate.subject().iter_common_name();
    match (names.next(), names.next()) {
        (Some(name), None) => name.as_str().ok().map(str::to_owned),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, CustomExtension, DnType, KeyPair, SanType};

    use super::*;

    /// The names of a certificate with the common name `common.test`, after `change` has modified it.
    fn named(change: impl FnOnce(&mut CertificateParams)) -> Vec<String> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "common.test");
        change(&mut params);
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        names(certificate.der())
    }

    #[test]
    fn common_name_counts_only_without_alternative_names() {
        assert_eq!(named(|_| ()), ["common.test"]);
        let dns = SanType::DnsName("a.test".try_into().unwrap());
        let uri = SanType::URI("spiffe://a/b".try_into().unwrap());
        let alternatives = vec![dns.clone(), uri, dns];
        assert_eq!(
            named(|params| params.subject_alt_names = alternatives),
            ["a.test", "spiffe://a/b"]
        );
    }

    #[test]
    fn certificate_with_other_kinds_of_alternative_names_has_no_name() {
        let address = SanType::IpAddress([10, 0, 0, 1].into());
        let mail = SanType::Rfc822Name("a@example.com".try_into().unwrap());
        for alternatives in [vec![address.clone()], vec![mail, address]] {
            assert_eq!(named(|params| params.subject_alt_names = alternatives), [""; 0]);
        }
    }

    #[test]
    fn certificate_with_unreadable_alternative_names_has_no_name() {
        let oid = [2, 5, 29, 17];
        let broken = CustomExtension::from_oid_content(&oid, vec![0x30, 0x7f, 0x01]);
        assert_eq!(named(|params| params.custom_extensions.push(broken)), [""; 0]);
    }

    #[test]
    fn certificate_with_several_common_names_has_no_name() {
        let another = DnType::CustomDnType(vec![2, 5, 4, 3]);
        assert_eq!(
            named(|params| params.distinguished_name.push(another, "admin.test")),
            [""; 0]
        );
    }

    #[test]
    fn text_that_isnt_a_certificate_has_no_name() {
        assert_eq!(names(b"no certificate"), [""; 0]);
    }
}
