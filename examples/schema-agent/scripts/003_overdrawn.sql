ALTER TABLE account ADD COLUMN overdraft DECIMAL(18, 2) NOT NULL DEFAULT 0 AFTER balance;

CREATE VIEW overdrawn AS SELECT id, customer, balance FROM account WHERE balance < -overdraft;

-- The trigger has moved the balance; a row more would be seen in it.
INSERT INTO fee VALUES ('overdraft', 9.7500);
