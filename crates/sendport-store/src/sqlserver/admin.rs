//! Schema and environment.

use async_trait::async_trait;

use super::SqlServerStore;
use super::bulk_change::{BulkChange, OnLocked};
use super::error::unexpected;
use super::expiry::{self, BATCH, top};
use super::known_errors::ROLE;
use super::operator_queries::lines;
use super::pool::Pool;
use super::schema;
use super::values::Fields;
use crate::{
    AdoptMode, AdoptReport, FixedRoleMember, MOST_REFUSED, MigrationStep, SchemaState, StoreAdmin,
    StoreError, StoreErrorKind, SweepResult, nothing_refused,
};

#[async_trait]
impl StoreAdmin for SqlServerStore {
    fn describe(&self) -> String {
        self.pool.settings().describe()
    }

    async fn create_database(&self) -> Result<bool, StoreError> {
        const DOING: &str = "create the database";
        let settings = self.pool.settings();
        let master = Pool::new(settings.with_database("master"));
        let sql = include_str!("sql/create_database.sql");
        let row = master.row(DOING, sql, &[&settings.database]).await?;
        let created = Fields::of(&row).count().map_err(|e| unexpected(DOING, e))?;
        Ok(created == 1)
    }

    async fn migrate(&self) -> Result<Vec<MigrationStep>, StoreError> {
        schema::migrate(&self.pool).await
    }

    async fn schema_state(&self) -> Result<SchemaState, StoreError> {
        schema::state(&self.pool).await
    }

    async fn environment(&self) -> Result<Option<String>, StoreError> {
        const DOING: &str = "read the environment's name";
        let rows = self
            .pool
            .rows(DOING, include_str!("sql/environment.sql"), &[])
            .await?;
        let name = rows.first().map(|row| Fields::of(row).key()).transpose();
        name.map_err(|e| unexpected(DOING, e))
    }

    async fn has_row_versioning(&self) -> Result<Option<bool>, StoreError> {
        const DOING: &str = "read how the database isolates readers";
        let sql = include_str!("sql/has_row_versioning.sql");
        let row = self.pool.row(DOING, sql, &[]).await?;
        let on = Fields::of(&row).get().map_err(|e| unexpected(DOING, e))?;
        Ok(Some(on))
    }

    async fn check_permissions(&self) -> Result<(), StoreError> {
        const DOING: &str = "do what the service does";
        let sql = include_str!("sql/check_permissions.sql");
        let rows = self.pool.rows(DOING, sql, &[]).await?;
        let missing = lines(DOING, &rows, |f| Ok((f.text()?, f.text()?, f.text()?)))?;
        let Some((user, right, table)) = missing.first() else {
            return Ok(());
        };
        let message = format!(
            "the user '{user}' may not {right} in sendport.{table}, and lacks {} rights in all; {ROLE}",
            missing.len()
        );
        Err(StoreError::new(StoreErrorKind::Refused, DOING, message))
    }

    async fn name_environment(&self, name: &str) -> Result<String, StoreError> {
        self.set_environment("name the environment", name, false)
            .await
    }

    async fn fixed_role_members(&self) -> Result<Vec<FixedRoleMember>, StoreError> {
        const DOING: &str = "read the members of fixed roles";
        let sql = include_str!("sql/fixed_role_members.sql");
        let rows = self.pool.rows(DOING, sql, &[]).await?;
        lines(DOING, &rows, |f| {
            Ok(FixedRoleMember {
                role: f.text()?,
                member: f.text()?,
            })
        })
    }

    async fn adopt(&self, environment: &str, mode: AdoptMode) -> Result<AdoptReport, StoreError> {
        const DOING: &str = "adopt the database";
        let previous_environment = self.environment().await?;
        let reason = format!("the database was adopted for the environment '{environment}'");
        let alerts = match mode {
            AdoptMode::Hold => {
                self.hold_everything(DOING, &format!("held: {reason}"))
                    .await?
            }
            AdoptMode::Expire => {
                self.expire_everything(DOING, &format!("expired: {reason}"))
                    .await?
            }
        };
        nothing_refused(DOING, &alerts.refused)?;
        // The last step, so that an adoption that broke off is begun again.
        self.set_environment(DOING, environment, true).await?;
        Ok(AdoptReport {
            previous_environment,
            alerts: alerts.count.into(),
        })
    }
}

impl SqlServerStore {
    async fn hold_everything(
        &self,
        doing: &'static str,
        reason: &str,
    ) -> Result<SweepResult, StoreError> {
        self.until_none_left(&BulkChange {
            doing,
            sql: include_str!("sql/adopt_hold.sql"),
            list: include_str!("sql/adopt_hold_candidates.sql"),
            values: &[&top(BATCH), &reason],
            locked: OnLocked::Fail,
        })
        .await
    }

    async fn expire_everything(
        &self,
        doing: &'static str,
        reason: &str,
    ) -> Result<SweepResult, StoreError> {
        let release = BulkChange {
            doing,
            sql: include_str!("sql/adopt_release.sql"),
            list: include_str!("sql/adopt_release_candidates.sql"),
            values: &[&top(BATCH)],
            locked: OnLocked::Fail,
        };
        let mut all = self.until_none_left(&release).await?;
        all.count = 0;
        loop {
            let without: Vec<_> = all.refused.iter().map(|it| it.alert).collect();
            let swept = expiry::expire_any(&self.pool, reason, &without).await?;
            if swept == SweepResult::default() || all.refused.len() > MOST_REFUSED {
                return Ok(all);
            }
            all.count += swept.count;
            all.refused.extend(swept.refused);
        }
    }

    async fn set_environment(
        &self,
        doing: &'static str,
        name: &str,
        replace: bool,
    ) -> Result<String, StoreError> {
        let sql = include_str!("sql/name_environment.sql");
        let row = self
            .pool
            .row(doing, sql, &[&name, &i32::from(replace)])
            .await?;
        Fields::of(&row).key().map_err(|e| unexpected(doing, e))
    }
}
