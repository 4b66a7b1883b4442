-- SqlServerStore::fixed_role_members
SELECT RoleName, MemberName FROM sendport.FixedRoleMembers() ORDER BY RoleName, MemberName;
