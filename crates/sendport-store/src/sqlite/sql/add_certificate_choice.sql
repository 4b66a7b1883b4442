-- add_certificate: what is chosen or known anew.
UPDATE Certificate
SET Capabilities = coalesce(?3, Capabilities), Cipher = coalesce(?4, Cipher), RsaPadding = coalesce(?5, RsaPadding)
WHERE Address = ?1 AND Sha256Fingerprint = ?2
  AND (Capabilities IS NOT coalesce(?3, Capabilities) OR Cipher IS NOT coalesce(?4, Cipher)
       OR RsaPadding IS NOT coalesce(?5, RsaPadding))
