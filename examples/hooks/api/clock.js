"use strict";

exports.today = async (zone) => new Intl.DateTimeFormat("sv-SE", { timeZone: zone ?? "Asia/Shanghai" }).format(new Date());
