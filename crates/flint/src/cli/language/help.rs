//! Chinese help: the texts of verbs and flags by their path, put over the English ones that stand in the code.

use clap::Command;

use super::Language;

/// Path of a verb, or path and flag → text.
#[rustfmt::skip]
const CHINESE: &[(&str, &str)] = &[
    ("", "私有的无服务器函数平台"),
    (".endpoint", "服务器地址，形如 http://主机:端口"),
    (".data_dir", "服务器的数据目录：存放一切数据，凭证也从中读取"),
    (".output", "标准输出上结果的格式"),
    (".lang", "语言；省略时按系统区域设置"),
    (".yes", "对所有询问回答“是”"),
    ("serve", "启动服务器"),
    ("serve.listen", "监听地址；默认只监听本机回环地址"),
    ("serve.region", "ARN 中的区域"),
    ("serve.account_id", "ARN 中的账号：十二位数字"),
    ("serve.config", "配置文件"),
    ("serve.insecure_single_tenant", "即使主机无法实施全部隔离层也启动：仅限单用户、回环地址"),
    ("serve.set", "其他任意设置，形如 键=值（见 docs/reference/configuration.md）"),
    ("deploy", "部署目录或 zip：代码、配置、版本、别名"),
    ("deploy.place", "项目目录，或原样部署的 zip"),
    ("deploy.name", "函数名；未指定时用目录名"),
    ("deploy.image", "要部署的容器镜像，形如 名称[:标签]"),
    ("deploy.runtime", "运行时标识，如 python3.11；省略时自动检测"),
    ("deploy.handler", "处理程序，如 app.handler；省略时自动检测"),
    ("deploy.memory", "内存，单位 MB"),
    ("deploy.timeout", "超时，单位秒"),
    ("deploy.env", "环境变量；可多次给出"),
    ("deploy.network", "网络：none、egress、host，或 default（用服务器的默认值）"),
    ("deploy.message", "版本说明"),
    ("deploy.alias", "指向新版本的别名"),
    ("deploy.dry_run", "只说明将有哪些变化，不做更改"),
    ("deploy.no_publish", "只更改 $LATEST：不发布版本，不移动别名"),
    ("invoke", "调用函数"),
    ("invoke.name", "函数，或 函数:别名、函数:版本；都没有时为 $LATEST"),
    ("invoke.event", "事件：文件、-（标准输入）或 JSON 文本；省略时为 {}"),
    ("invoke.alias", "调用别名所指的版本"),
    ("invoke.version", "调用某个版本"),
    ("invoke.log", "在标准错误上显示本次调用的日志末尾"),
    ("invoke.queue", "事件入队，不等待结果：有空位即运行，失败会重试"),
    ("invoke.key", "与 --queue 同用：同一键在 24 小时内只收一次"),
    ("invoke.running", "列出进行中的调用（指定函数时只列该函数的），而不是调用它"),
    ("invoke.cancel", "按请求 ID 取消进行中的调用：其进程会被终止"),
    ("fn", "函数"),
    ("fn list", "列出函数"),
    ("fn get", "查看函数"),
    ("fn get.name", "函数"),
    ("fn delete", "删除函数及其全部版本和别名"),
    ("fn delete.name", "函数"),
    ("fn config", "查看或更改 $LATEST 的配置"),
    ("fn config.name", "函数"),
    ("fn config.memory", "内存，单位 MB"),
    ("fn config.timeout", "超时，单位秒"),
    ("fn config.handler", "处理程序"),
    ("fn config.runtime", "运行时标识"),
    ("fn config.description", "说明"),
    ("fn config.network", "网络：none、egress、host，或 default（用服务器的默认值）"),
    ("fn env", "查看或更改 $LATEST 的环境变量"),
    ("fn env.name", "函数"),
    ("fn env.set", "设置变量；可多次给出"),
    ("fn env.unset", "移除变量；可多次给出"),
    ("fn provision", "为版本或别名预置实例；查看已预置的"),
    ("fn provision.name", "函数，或 函数:版本、函数:别名"),
    ("fn provision.number", "保持就绪的并发调用数；省略时列出已预置的"),
    ("fn provision.off", "取消预置"),
    ("version", "版本"),
    ("version list", "列出函数的版本"),
    ("version list.name", "函数"),
    ("version publish", "把 $LATEST 发布为版本"),
    ("version publish.name", "函数"),
    ("version publish.message", "版本说明"),
    ("version delete", "删除版本"),
    ("version delete.name", "函数"),
    ("version delete.version", "版本号"),
    ("alias", "别名"),
    ("alias list", "列出函数的别名"),
    ("alias list.name", "函数"),
    ("alias set", "让别名指向版本，并可把一部分调用分给另一版本；别名不存在时创建"),
    ("alias set.name", "函数"),
    ("alias set.target", "如 live=4；live=4,5:10% 表示十分之一的调用进入版本 5"),
    ("alias delete", "删除别名"),
    ("alias delete.name", "函数"),
    ("alias delete.alias", "别名"),
    ("url", "函数 URL：函数和别名的 HTTP 地址"),
    ("url list", "列出函数及其别名的地址"),
    ("url list.name", "函数"),
    ("url create", "为函数或别名创建地址"),
    ("url create.name", "函数，或 函数:别名"),
    ("url create.auth", "谁可以调用：任何人（none），或签名的调用者（iam）"),
    ("url create.mode", "响应方式：整体返回（buffered），或边产生边返回（stream）"),
    ("url create.origin", "允许哪个来源的页面读取响应，* 表示任意；可多次给出"),
    ("url update", "更改地址的设置；地址本身不变"),
    ("url update.name", "函数，或 函数:别名"),
    ("url update.auth", "谁可以调用：任何人（none），或签名的调用者（iam）"),
    ("url update.mode", "响应方式：整体返回（buffered），或边产生边返回（stream）"),
    ("url update.origin", "允许哪个来源的页面读取响应，* 表示任意；可多次给出"),
    ("url get", "查看地址"),
    ("url get.name", "函数，或 函数:别名"),
    ("url delete", "移除地址"),
    ("url delete.name", "函数，或 函数:别名"),
    ("layer", "层：多个函数共享的文件"),
    ("layer publish", "发布目录或 zip 的一个版本；其中 python 或 nodejs 目录里的内容可被函数找到"),
    ("layer publish.name", "层"),
    ("layer publish.path", "目录或 zip；显示在 /opt"),
    ("layer publish.message", "版本说明"),
    ("layer publish.runtime", "适用的运行时；可多次给出"),
    ("layer list", "列出所有层的最新版本，或某一层的各版本"),
    ("layer list.name", "层"),
    ("layer delete", "删除版本；已使用它的函数仍可继续使用"),
    ("layer delete.name", "层"),
    ("layer delete.version", "版本号"),
    ("deploy.mode", "工作方式：event（调用处理程序）、web（HTTP 服务器）或 static（静态站点）"),
    ("deploy.fallback", "静态站点：没有对应文件的页面所用的文件，如 index.html"),
    ("route", "路由：哪些 HTTP 请求由哪个函数处理"),
    ("route list", "列出路由"),
    ("route add", "添加路由，或替换同名路由"),
    ("route add.name", "路由"),
    ("route add.target", "函数，或 函数:别名、函数:版本"),
    ("route add.path", "路径，如 /orders/{id} 或 /files/{path+}"),
    ("route add.host", "主机名，如 shop.example.com 或 *.example.com；省略时为任意主机"),
    ("route add.methods", "方法；可多次给出；省略时为全部"),
    ("route add.auth", "调用者如何证明身份"),
    ("route add.keys", "api-key：可以调用的持有者；可多次给出；省略时为全部"),
    ("route add.issuer", "jwt：令牌的 iss"),
    ("route add.audience", "jwt：aud 必须包含的名称；可多次给出"),
    ("route add.jwks", "jwt：公钥的地址，或服务器上文件的路径"),
    ("route add.algorithms", "jwt：接受的签名算法；可多次给出；省略时为 RS256"),
    ("route add.scopes", "jwt：令牌至少要有其一的权限范围；可多次给出"),
    ("route add.rate", "所有调用者合计每秒请求数"),
    ("route add.caller_rate", "每个调用者每秒请求数"),
    ("route add.origins", "允许其页面发送请求的站点；可多次给出"),
    ("route add.canary", "规则，如 percent=10,by=header:x-customer,to=2；可多次给出，第一条成立的规则生效"),
    ("route show", "查看路由"),
    ("route show.name", "路由"),
    ("route delete", "删除路由"),
    ("route delete.name", "路由"),
    ("key", "路由调用者使用的密钥"),
    ("key list", "列出密钥"),
    ("key create", "为调用者生成密钥；只显示这一次"),
    ("key create.name", "持有者"),
    ("key delete", "撤销密钥"),
    ("key delete.name", "持有者"),
    ("site", "静态站点：不需要代码即可提供的文件"),
    ("site deploy", "部署目录或 zip 中的文件"),
    ("site deploy.place", "构建好的站点目录，或其 zip"),
    ("site deploy.name", "站点名；未指定时用目录名"),
    ("site deploy.fallback", "没有对应文件的页面所用的文件，如 index.html：用于单页应用"),
    ("site deploy.message", "版本说明"),
    ("site deploy.alias", "指向新版本的别名"),
    ("site deploy.dry_run", "只说明将有哪些变化，不做更改"),
    ("artefact", "制品：与代码分开管理版本的大文件"),
    ("artefact publish", "发布一个版本：目录、归档（tar、tar.gz、zip）或文件"),
    ("artefact publish.name", "制品"),
    ("artefact publish.path", "目录、归档或文件"),
    ("artefact publish.message", "版本说明"),
    ("artefact publish.as_file", "归档不解开，原样显示为文件"),
    ("artefact list", "列出所有制品的版本，或某一制品的版本"),
    ("artefact list.name", "制品"),
    ("artefact show", "查看一个版本，以及显示它的函数"),
    ("artefact show.name", "制品"),
    ("artefact show.version", "版本号"),
    ("artefact delete", "删除没有函数显示的版本"),
    ("artefact delete.name", "制品"),
    ("artefact delete.version", "版本号"),
    ("trigger", "触发器：自动调用函数"),
    ("trigger list", "列出触发器及下次触发时间"),
    ("trigger list.function", "只列某个函数的"),
    ("trigger add", "添加或修改定时触发器"),
    ("trigger add.name", "触发器"),
    ("trigger add.function", "函数，或 函数:别名、函数:版本"),
    ("trigger add.timer", "时间表达式：cron(分 时 日 月 周 年)、rate(数 单位)、at(时间)，或 crontab 的五个字段"),
    ("trigger add.timezone", "时区，如 Asia/Shanghai；默认 UTC"),
    ("trigger add.start", "不早于此时间，如 2026-12-01T00:00:00Z"),
    ("trigger add.end", "不晚于此时间"),
    ("trigger add.window", "在多少秒的窗口内错开触发"),
    ("trigger add.misfire", "错过时如何处理：fire_once、skip 或 fire_all"),
    ("trigger add.overlap", "上次尚未结束时：allow、forbid 或 replace"),
    ("trigger add.calendar", "服务器上的工作日历"),
    ("trigger add.days", "日历中触发的日子：working 或 off"),
    ("trigger add.input", "事件内容（JSON）；其中 <aws.scheduler.scheduled-time> 等会被替换"),
    ("trigger add.cloudevents", "以 CloudEvent 形式传递事件"),
    ("trigger add.paused", "添加但先不启用"),
    ("trigger kafka", "用主题中的消息调用函数"),
    ("trigger kafka.function", "函数，或 函数:别名、函数:版本"),
    ("trigger kafka.brokers", "Kafka 服务器，如 主机:端口,主机:端口"),
    ("trigger kafka.topic", "主题"),
    ("trigger kafka.from", "从何处开始：TRIM_HORIZON（最早的消息）、LATEST，或一个时间，如 2026-12-01T00:00:00Z"),
    ("trigger kafka.group", "消费组；省略时用自己的"),
    ("trigger kafka.batch", "每次调用最多多少条消息"),
    ("trigger kafka.window", "为凑批最多等待多少秒"),
    ("trigger kafka.filter", "事件模式；不符合任何一个的消息被略过。可多次给出"),
    ("trigger kafka.parallel", "每个分区同时进行的调用数；同一键的消息保持顺序"),
    ("trigger kafka.pollers", "最多同时处理的分区数"),
    ("trigger kafka.retries", "首次之后的重试次数；-1 表示不限"),
    ("trigger kafka.max_age", "消息超过多少秒后被放弃；-1 表示永不"),
    ("trigger kafka.reports_failures", "由函数说明哪些消息失败（batchItemFailures）"),
    ("trigger kafka.cloudevents", "以 CloudEvents 发送"),
    ("trigger kafka.on_failure", "放弃的消息发往何处；省略时成为死信"),
    ("trigger kafka.access", "认证方式，形如 类型=密钥名（BASIC_AUTH、SASL_SCRAM_512_AUTH 等）；可多次给出"),
    ("trigger reset", "让 Kafka 触发器从别处继续：最早、最新或某一时间"),
    ("trigger reset.name", "名称，即其编号"),
    ("trigger reset.to", "TRIM_HORIZON、LATEST 或时间，如 2026-12-01T00:00:00Z"),
    ("trigger show", "查看触发器：下次与最近的触发"),
    ("trigger show.name", "触发器"),
    ("trigger show.kind", "种类：timer 或 kafka"),
    ("trigger pause", "暂停触发器"),
    ("trigger pause.name", "触发器"),
    ("trigger pause.kind", "种类：timer 或 kafka"),
    ("trigger resume", "恢复触发器"),
    ("trigger resume.name", "触发器"),
    ("trigger resume.kind", "种类：timer 或 kafka"),
    ("trigger test", "立即触发一次，不影响时间表"),
    ("trigger test.name", "触发器"),
    ("trigger delete", "删除触发器"),
    ("trigger delete.name", "触发器"),
    ("trigger delete.kind", "种类：timer 或 kafka"),
    ("dlq", "死信：最终未能处理的事件"),
    ("dlq list", "列出死信，最早的在前"),
    ("dlq list.function", "只列某个函数的"),
    ("dlq show", "查看死信及其内容"),
    ("dlq show.id", "死信编号"),
    ("dlq redrive", "重新投递死信：按编号一条，或某函数的全部"),
    ("dlq redrive.id", "死信编号"),
    ("dlq redrive.function", "该函数的全部死信"),
    ("dlq delete", "丢弃死信"),
    ("dlq delete.id", "死信编号"),
    ("logs", "查看函数的日志"),
    ("logs.name", "函数"),
    ("logs.since", "起始时间：多久以前，如 90s、10m、2h、1d，或 UTC 毫秒"),
    ("logs.request_id", "只看这次调用"),
    ("logs.version", "只看这个版本"),
    ("logs.contains", "只看含此文本的行"),
    ("logs.limit", "最多多少次调用（最新的）"),
    ("logs.follow", "持续显示新日志，直到中断"),
    ("runtime", "服务器的运行时"),
    ("runtime list", "列出运行时及其提供者"),
    ("runtime add", "添加位于独立根文件系统中的解释器"),
    ("runtime add.name", "要提供的运行时标识，如 python3.6 或 java8"),
    ("runtime add.root", "根文件系统：服务器主机上的目录；在该主机上运行时也可为 tar 包"),
    ("runtime add.exec", "解释器在根文件系统内的路径"),
    ("runtime remove", "移除已添加的解释器"),
    ("runtime remove.name", "运行时标识"),
    ("image", "容器镜像"),
    ("image list", "列出镜像"),
    ("image show", "查看镜像"),
    ("image show.name", "名称[:标签]，或 名称@sha256:摘要"),
    ("image import", "从归档或 OCI 布局导入镜像"),
    ("image import.name", "镜像的名称，形如 名称[:标签]"),
    ("image import.archive", "归档：tar 包内的 OCI 布局，或 `docker save` 的输出；- 表示标准输入"),
    ("image import.oci_layout", "OCI 布局的目录"),
    ("image pull", "让服务器从镜像仓库拉取镜像"),
    ("image pull.reference", "主机[:端口]/名称[:标签]，或 主机[:端口]/名称@sha256:摘要"),
    ("image pull.username", "仓库用户名；省略时用 `docker login` 保存的凭证"),
    ("image pull.password_stdin", "从标准输入读取密码；否则取变量 FLINT_REGISTRY_PASSWORD"),
    ("image pull.docker_config", "Docker 配置文件；省略时为 $DOCKER_CONFIG/config.json 或 ~/.docker/config.json"),
    ("image pull.ca_file", "除系统证书外，仓库可用的证书（PEM 文件）"),
    ("image delete", "移除镜像；正在使用它的函数不受影响"),
    ("image delete.name", "名称[:标签]，或 名称@sha256:摘要（连同其全部标签）"),
    ("doctor", "通过尝试突破沙箱，说明此主机能实施哪些隔离"),
    ("doctor.all", "显示全部探测，而不仅是需要关注的"),
    ("completion", "输出命令补全脚本"),
    ("completion.shell", "Shell 类型"),
];

const TEMPLATE: &str = "{about-with-newline}\n用法：{usage}\n\n{all-args}";

/// The commands in a language.
pub(crate) fn translate(command: Command, language: Language) -> Command {
    match language {
        Language::En => command,
        Language::Zh => over(command, ""),
    }
}

fn chinese(path: &str) -> Option<&'static str> {
    CHINESE
        .iter()
        .find(|(known, _)| *known == path)
        .map(|(_, text)| *text)
}

fn over(mut command: Command, path: &str) -> Command {
    if let Some(about) = chinese(path) {
        command = command.about(about).long_about(about);
        command = command.help_template(TEMPLATE).subcommand_help_heading("命令");
    }
    let arguments: Vec<String> = command
        .get_arguments()
        .map(|arg| arg.get_id().to_string())
        .collect();
    for id in arguments {
        if let Some(help) = chinese(&format!("{path}.{id}")) {
            command = command.mut_arg(id, |arg| {
                let heading = if arg.is_positional() { "参数" } else { "选项" };
                arg.help(help).long_help(help).help_heading(heading)
            });
        }
    }
    let verbs: Vec<String> = command
        .get_subcommands()
        .map(|verb| verb.get_name().to_owned())
        .collect();
    for verb in verbs {
        let below = if path.is_empty() {
            verb.clone()
        } else {
            format!("{path} {verb}")
        };
        command = command.mut_subcommand(verb, |command| over(command, &below));
    }
    command
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn paths(command: &Command, path: &str, all: &mut Vec<String>) {
        all.push(path.to_owned());
        all.extend(
            command
                .get_arguments()
                .map(|arg| format!("{path}.{}", arg.get_id())),
        );
        for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
            let name = verb.get_name();
            paths(
                verb,
                &if path.is_empty() {
                    name.to_owned()
                } else {
                    format!("{path} {name}")
                },
                all,
            );
        }
    }

    #[test]
    fn every_verb_and_flag_has_chinese_help_and_nothing_else_has() {
        let mut all = Vec::new();
        paths(&crate::cli::Cli::command(), "", &mut all);
        let missing: Vec<_> = all.iter().filter(|path| chinese(path).is_none()).collect();
        assert!(missing.is_empty(), "{missing:#?}");
        let stale: Vec<_> = CHINESE
            .iter()
            .filter(|(path, _)| !all.iter().any(|known| known == path))
            .collect();
        assert!(stale.is_empty(), "{stale:#?}");
    }
}
