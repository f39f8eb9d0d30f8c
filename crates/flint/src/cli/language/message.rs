//! Every sentence that the command line says itself: English, then Chinese.

use super::Language;

macro_rules! messages {
    ($($name:ident: $en:literal, $zh:literal;)*) => {
        /// A sentence of the command line.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Message {
            $($name,)*
        }

        impl Message {
            /// All of them.
            #[cfg(test)]
            pub(crate) const ALL: &'static [Message] = &[$(Message::$name,)*];

            /// The template in a language.
            pub(crate) const fn text(self, language: Language) -> &'static str {
                match (self, language) {
                    $((Message::$name, Language::En) => $en, (Message::$name, Language::Zh) => $zh,)*
                }
            }
        }
    };
}

messages! {
    // connection
    Unreachable: "cannot reach {endpoint}: {reason}", "无法连接 {endpoint}：{reason}";
    HintServe: "start a server with `flint serve`, or name one with --endpoint", "请先用 `flint serve` 启动服务器，或用 --endpoint 指定地址";
    NoCredentials: "no credentials in {folder}", "{folder} 中没有凭证";
    HintCredentials: "name the server's data folder with --data-dir, or set FLINT_ACCESS_KEY_ID and FLINT_SECRET_ACCESS_KEY",
        "请用 --data-dir 指定服务器的数据目录，或设置 FLINT_ACCESS_KEY_ID 和 FLINT_SECRET_ACCESS_KEY";
    HintToken: "name the server's data folder with --data-dir, or set FLINT_TOKEN", "请用 --data-dir 指定服务器的数据目录，或设置 FLINT_TOKEN";
    BadEndpoint: "{endpoint} is not an address of the form http://HOST:PORT", "{endpoint} 不是 http://主机:端口 形式的地址";
    BadAnswer: "the server's answer was not understood: {reason}", "无法理解服务器的响应：{reason}";
    HintListTriggers: "`flint trigger list` shows what there is", "`flint trigger list` 可列出现有触发器";
    HintListLetters: "`flint dlq list` shows what there is", "`flint dlq list` 可列出现有死信";
    HintListRoutes: "`flint route list` shows what there is", "`flint route list` 可列出现有路由";
    HintListKeys: "`flint key list` shows what there is", "`flint key list` 可列出现有密钥";
    HintListArtefacts: "`flint artefact list` shows what there is", "`flint artefact list` 可列出现有制品";
    HintListImages: "`flint image list` shows what there is", "`flint image list` 可列出现有镜像";
    HintList: "`flint fn list` shows what there is", "`flint fn list` 可列出现有函数";
    HintRetry: "try again in a moment", "请稍后重试";
    HintConflict: "another change was faster; look at it and try again", "另一个变更先完成；请查看后重试";
    HintAliases: "used by: {aliases}; point each at another version (`flint alias set {name} {first}=VERSION`) or delete it, then delete {version}",
        "仍被别名使用：{aliases}；请先让它们指向其他版本（`flint alias set {name} {first}=版本`）或删除它们，再删除 {version}";
    HintPage: "see docs/errors/{code}.md", "参见 docs/errors/{code}.md";
    HintUsage: "`flint{verb} --help` shows how it is written", "用法见 `flint{verb} --help`";
    UsageMissing: "missing: {names}", "缺少参数：{names}";
    UsageUnknown: "{name} is not known here{suggestion}", "无法识别 {name}{suggestion}";
    UsageValue: "{value} cannot be {name}: {reason}", "{value} 不能用作 {name}：{reason}";
    UsageConflict: "{name} does not go together with {other}", "{name} 不能与 {other} 同时使用";
    // asking
    Ask: "{what} [y/N] ", "{what} [y/N] ——请确认：";
    DeclinedNoTerminal: "this needs a yes, and there is no terminal to ask on", "此操作需要确认，但当前没有终端可供询问";
    HintYes: "say it with -y", "请加 -y 表示确认";
    Declined: "nothing was changed", "未做任何更改";
    AskDeleteFunction: "delete the function {name} with all its versions and aliases?", "删除函数 {name} 及其全部版本和别名？";
    AskDeleteVersion: "delete version {version} of {name}?", "删除 {name} 的版本 {version}？";
    AskDeleteAlias: "delete the alias {alias} of {name}?", "删除 {name} 的别名 {alias}？";
    AskRemoveRuntime: "remove the runtime {name}? Functions that use it stop working", "移除运行时 {name}？使用它的函数将无法运行";
    AskDeleteImage: "forget the image {name}?", "移除镜像 {name}？";
    AskDeleteLayer: "delete the layer version {what}?", "删除层版本 {what}？";
    AskDeleteRoute: "delete the route {name}?", "删除路由 {name}？";
    AskDeleteKey: "revoke the key of {name}?", "撤销 {name} 的密钥？";
    KeyOnce: "keep the key: it is not shown again", "请保存密钥：之后不再显示";
    ShowRoute: "route {text}", "路由 {text}";
    ShowTrigger: "trigger {text}", "触发器 {text}";
    ShowEvents: "events {text}", "事件 {text}";
    AskDeleteArtefact: "delete the artefact version {what}?", "删除制品版本 {what}？";
    TriggerReset: "{name} goes on from {to}", "{name} 将从 {to} 继续";
    AskDeleteTrigger: "delete the {kind} trigger {name}?", "删除 {kind} 触发器 {name}？";
    TriggerPaused: "{name} is paused", "{name} 已暂停";
    TriggerResumed: "{name} works again", "{name} 已恢复";
    AskDeleteLetter: "throw the dead letter {id} away? Its payload is lost", "丢弃死信 {id}？其内容将无法恢复";
    Queued: "queued as {id}", "已入队：{id}";
    Redriven: "sent again: {count}", "已重新投递：{count}";
    AskDeleteUrl: "take the address of {name} away? Whoever calls it is refused from then on", "移除 {name} 的地址？此后对它的调用都会被拒绝";
    UrlDeleted: "{name} has no address any more", "{name} 不再有地址";
    Deleted: "{what} deleted", "已删除 {what}";
    // deploy
    Packed: "packed {files} files, {size}", "已打包 {files} 个文件，共 {size}";
    Building: "building: {command}", "正在构建：{command}";
    BuildFailed: "the build command ended with {status}", "构建命令以 {status} 结束";
    Uploading: "uploading {size}", "正在上传 {size}";
    Configuring: "updating the configuration", "正在更新配置";
    Waiting: "waiting until it is ready", "正在等待就绪";
    Publishing: "publishing a version", "正在发布版本";
    DeployFailed: "{name} could not be made ready: {reason}", "{name} 未能就绪：{reason}";
    DeploySlow: "{name} was not ready after {seconds} seconds", "{name} 在 {seconds} 秒后仍未就绪";
    DeployOvertaken: "{name}: another deploy was faster; its code is not this one", "{name}：另一次部署先完成，其代码与本次不同";
    HandlerMissing: "no file for the handler {handler}: the package has none of {wanted}; at its top there are: {there}",
        "找不到处理程序 {handler} 的文件：程序包中没有 {wanted}；其顶层有：{there}";
    HintHandler: "name it with --handler, or `handler:` in flint.yaml, as FILE.FUNCTION",
        "请用 --handler 或 flint.yaml 中的 `handler:` 指定，形如 文件.函数";
    Problems: "{place} cannot be deployed:{list}", "{place} 无法部署：{list}";
    HintProject: "docs/reference/cli.md tells what flint.yaml may hold", "flint.yaml 的写法见 docs/reference/cli.md";
    NoProject: "{place}: neither flint.yaml nor a handler was found", "{place}：没有找到 flint.yaml，也没有找到处理程序";
    HintDetect: "add app.py or index.js with a function `handler`, a `bootstrap` program, or a flint.yaml",
        "请添加含 `handler` 函数的 app.py 或 index.js、`bootstrap` 程序，或 flint.yaml";
    BuildFirst: "{place} is a {kind} project, which is built before it is deployed", "{place} 是 {kind} 项目，部署前需要构建";
    HintBuild: "give flint.yaml a `build:` command that makes {folder}/bootstrap, and `package: {folder}`",
        "请在 flint.yaml 中用 `build:` 写明生成 {folder}/bootstrap 的命令，并写 `package: {folder}`";
    CannotRead: "cannot read {path}: {reason}", "无法读取 {path}：{reason}";
    PackageTooLarge: "the package is {size}; at most {limit} can be uploaded", "程序包为 {size}；最多可上传 {limit}";
    Created: "{name}: created", "{name}：已创建";
    Updated: "{name}: updated", "{name}：已更新";
    Unchanged: "{name}: nothing changed", "{name}：没有变化";
    WouldCreate: "{name}: would be created", "{name}：将会创建";
    WouldUpdate: "{name}: would be updated", "{name}：将会更新";
    ShowVersion: "version {version}", "版本 {version}";
    ShowAlias: "alias {alias}: {old} -> {new}", "别名 {alias}：{old} -> {new}";
    ShowAliasAsBefore: "alias {alias}: {new}, as before", "别名 {alias}：{new}，未变";
    ShowCall: "call it: flint invoke {target}", "调用：flint invoke {target}";
    ShowFunctionUrl: "open it: {url}", "打开：{url}";
    ShowUrl: "address: {url}", "地址：{url}";
    // invoke
    FunctionError: "the function returned an error ({kind}): {text}", "函数返回错误（{kind}）：{text}";
    HintLogs: "flint logs {name} --request-id {id}", "flint logs {name} --request-id {id} ——查看日志";
    BadPayload: "{text} is neither a file nor JSON", "{text} 既不是文件，也不是 JSON";
    // others
    BadPair: "{text}: write NAME=VALUE", "{text}：请写成 名称=值";
    BadTarget: "{text}: write ALIAS=VERSION or ALIAS=VERSION,VERSION:PERCENT%", "{text}：请写成 别名=版本 或 别名=版本,版本:百分比%";
    NoQualifier: "{name}: write NAME:VERSION or NAME:ALIAS", "{name}：请写成 函数:版本 或 函数:别名";
    HintQualifier: "only published versions are provisioned; `flint version list {name}` shows them", "只有已发布的版本可以预置；用 `flint version list {name}` 查看";
    Unprovisioned: "{name}: nothing is provisioned any more", "{name}：已取消预置";
    LogsEmpty: "no log lines", "没有日志";
    RuntimeAdded: "{name} is served by {exec} {version}", "{name} 由 {exec} {version} 提供";
    NoImageSource: "name the image's archive or layout", "请指定镜像的归档或布局";
    ArchiveIsFolder: "{path} is a folder; give an OCI layout with --oci-layout", "{path} 是目录；OCI 布局请用 --oci-layout";
    Pulling: "the server pulls {name}", "服务器正在拉取 {name}";
    ImageNote: "note: {note}", "注意：{note}";
    NoRegistryPassword: "no password: set FLINT_REGISTRY_PASSWORD, or give it with --password-stdin",
        "没有密码：请设置 FLINT_REGISTRY_PASSWORD，或用 --password-stdin 输入";
    BadRoot: "{path} is neither a folder nor a tar archive of a root: {reason}", "{path} 既不是目录，也不是根文件系统的 tar 包：{reason}";
    TarNeedsHost: "a tar archive is unpacked on the server's host: run this there with --data-dir", "tar 包需在服务器主机上解开：请在该主机上加 --data-dir 运行";
    DoctorFailed: "the sandbox cannot be tried out here: {reason}", "无法在此主机上试验沙箱：{reason}";
    DoctorOpen: "{count} of {all} probes are OPEN: do not put tenants on this host", "{all} 项探测中有 {count} 项未能隔离：请勿在此主机上运行多租户负载";
    DoctorHeld: "{held} of {all} probes held, {not_shown} could not be shown; {layers} of {all_layers} layers hold",
        "{all} 项探测中 {held} 项成立，{not_shown} 项无法证明；{all_layers} 层隔离中 {layers} 层成立";
    DoctorMissing: "required layers are MISSING: {names}; tenants must not share this host",
        "缺少必需的隔离层：{names}；请勿让多租户共用此主机";
    Failed: "{reason}", "出错：{reason}";
}
