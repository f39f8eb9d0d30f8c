CREATE TABLE movement (
  id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  account BIGINT NOT NULL,
  amount DECIMAL(18, 2) NOT NULL,
  booked DATETIME(3) NOT NULL,
  CONSTRAINT movement_account FOREIGN KEY (account) REFERENCES account (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

CREATE TRIGGER movement_books AFTER INSERT ON movement
FOR EACH ROW UPDATE account SET balance = balance + NEW.amount WHERE id = NEW.account;
