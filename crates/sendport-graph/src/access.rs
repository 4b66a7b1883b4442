//! What a token permits, as far as it says so itself.

use sendport_core::domain::Timestamp;
use sendport_oauth2::TokenClaims;

/// The permission to send (Microsoft Graph, application or delegated).
const MAIL_SEND: &str = "Mail.Send";

/// Graph's own id, which tokens of some tenants have as their audience.
const GRAPH_ID: &str = "00000003-0000-0000-c000-000000000000";

/// What is known of the access to a mailbox without sending a message. It contains no part of the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GraphAccess {
    /// Where messages are posted to.
    pub url: String,
    /// What the service document was answered with, an HTTP status.
    pub status: u16,
    /// The claims of the token; `None` where it is no JWT.
    pub claims: Option<TokenClaims>,
    /// The audience that the endpoint needs.
    pub wanted_audience: String,
}

impl GraphAccess {
    /// The token is for another service, which Graph refuses.
    pub fn wrong_audience(&self) -> Option<String> {
        let audience = self.claims.as_ref()?.audience.as_deref()?;
        let found = audience.trim_end_matches('/');
        if found.eq_ignore_ascii_case(&self.wanted_audience) || found == GRAPH_ID {
            return None;
        }
        Some(format!(
            "the token is for '{audience}', expected '{}': write scope = \"{}/.default\" in auth.oauth2, or remove scope \
             and resource",
            self.wanted_audience, self.wanted_audience
        ))
    }

    /// The permissions that the token names, of the application or a user's.
    pub fn permissions(&self) -> Option<Vec<&str>> {
        let claims = self.claims.as_ref()?;
        let both = claims.roles.iter().chain(&claims.scopes);
        Some(both.map(String::as_str).collect())
    }

    /// Until when the token is valid.
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.claims.as_ref()?.expires_at
    }

    /// What to know of the permission to send; `None` where the token does not say what it permits.
    pub fn advice(&self) -> Option<String> {
        let claims = self.claims.as_ref()?;
        let has = |list: &[String]| list.iter().any(|it| it.starts_with(MAIL_SEND));
        if has(&claims.roles) {
            return Some(format!(
                "the application may send from every mailbox of the tenant ({MAIL_SEND}), unless an application access \
                 policy limits it: RBAC for Applications in Exchange Online limits it to the mailboxes that you name, \
                 see docs/microsoft365.md"
            ));
        }
        if has(&claims.scopes) {
            return None;
        }
        Some(format!(
            "{MAIL_SEND} is missing in the permissions of the token ({}): without it Graph answers 403 ErrorAccessDenied, \
             unless the role \"Application {MAIL_SEND}\" of RBAC for Applications in Exchange Online permits it, which \
             is recommended and which no token shows; see docs/microsoft365.md",
            self.permissions()
                .filter(|names| !names.is_empty())
                .map_or("none".to_owned(), |names| names.join(", "))
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(audience: &str, roles: &[&str], scopes: &[&str]) -> GraphAccess {
        let owned = |names: &[&str]| names.iter().map(|&it| it.to_owned()).collect();
        GraphAccess {
            url: "https://graph.microsoft.com/v1.0/users/a/sendMail".into(),
            status: 200,
            claims: Some(TokenClaims {
                audience: Some(audience.to_owned()),
                expires_at: None,
                roles: owned(roles),
                scopes: owned(scopes),
            }),
            wanted_audience: "https://graph.microsoft.com".into(),
        }
    }

    #[test]
    fn a_token_for_another_service_is_named() {
        let graph = "https://graph.microsoft.com/";
        assert_eq!(access(graph, &[], &[]).wrong_audience(), None);
        assert_eq!(access(GRAPH_ID, &[], &[]).wrong_audience(), None);
        let wrong = access("https://outlook.office365.com", &[], &[]).wrong_audience();
        assert!(
            wrong
                .expect("wrong")
                .contains("expected 'https://graph.microsoft.com'")
        );
    }

    #[test]
    fn a_missing_permission_is_named_and_a_wide_one_is_noted() {
        let advice = |roles, scopes| access("x", roles, scopes).advice();
        let missing = advice(&["User.Read.All"], &[]).expect("an advice");
        assert!(
            missing.starts_with(
                "Mail.Send is missing in the permissions of the token (User.Read.All)"
            )
        );
        assert!(advice(&[], &[]).expect("an advice").contains("(none)"));
        assert!(
            advice(&["Mail.Send"], &[])
                .expect("an advice")
                .contains("every mailbox of the tenant")
        );
        assert_eq!(advice(&[], &["Mail.Send.Shared"]), None);
    }
}
