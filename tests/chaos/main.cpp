// SPDX-License-Identifier: MIT

// Shows that recovery loses nothing: kills and restarts a broker and cuts connections, and checks after each run what
// must hold. tools/chaos builds it, and runs it with a private RabbitMQ node.

#include "chaos/brokernode.h"
#include "chaos/scenarios.h"

#include <QtCore/qcommandlineparser.h>
#include <QtCore/qcoreapplication.h>
#include <QtCore/qelapsedtimer.h>
#include <QtCore/qjsonarray.h>
#include <QtCore/qjsondocument.h>
#include <QtCore/qrandom.h>
#include <QtCore/qsavefile.h>

#include <cstdio>

using namespace Qt::StringLiterals;

namespace
{

struct Scenario {
    QString name;
    Outcome (*run)(const Settings &);
};

const std::initializer_list<Scenario> scenarios{
    {u"kills"_s, killBroker}, {u"cuts"_s, cutConnections}, {u"restarts"_s, restartBroker}};

QString textOf(const QJsonObject &figures)
{
    QStringList parts;
    for (auto figure = figures.begin(); figure != figures.end(); ++figure)
        parts += u"%1: %2"_s.arg(figure.key()).arg(figure.value().toInteger());
    return parts.join(", "_L1);
}

bool write(const QString &fileName, const QJsonObject &object)
{
    QSaveFile file(fileName);
    if (file.open(QIODevice::WriteOnly) && file.write(QJsonDocument(object).toJson()) > 0 && file.commit())
        return true;
    std::fprintf(stderr, "cannot write %s: %s\n", qPrintable(fileName), qPrintable(file.errorString()));
    return false;
}

} // namespace

int main(int argc, char *argv[])
{
    QCoreApplication app(argc, argv);
    QCommandLineParser parser;
    const QCommandLineOption quick(u"quick"_s, u"smaller numbers"_s);
    const QCommandLineOption json(u"json"_s, u"also writes the result to this file"_s, u"file"_s);
    const QCommandLineOption seed(u"seed"_s, u"repeats the random choices of a run"_s, u"number"_s);
    const QCommandLineOption only(u"only"_s, u"kills, cuts or restarts"_s, u"scenario"_s);
    parser.addOptions({quick, json, seed, only});
    parser.addHelpOption();
    parser.process(app);

    Settings settings;
    settings.seed = parser.isSet(seed) ? parser.value(seed).toUInt() : QRandomGenerator::global()->generate();
    if (parser.isSet(quick)) {
        settings.kills = 3;
        settings.messages = 30'000;
        settings.cuts = 40;
        settings.restarts = 3;
        settings.patience = std::chrono::seconds(20);
    }
    std::printf("seed: %u\n", settings.seed);
    std::fflush(stdout);

    Verdict verdict;
    QJsonArray results;
    for (const Scenario &scenario : scenarios) {
        if (parser.isSet(only) && !parser.values(only).contains(scenario.name))
            continue;
        if (BrokerNode node; !node.clear())
            qFatal("the broker cannot be cleared: %s", qPrintable(node.errors()));
        QElapsedTimer timer;
        timer.start();
        Outcome outcome = scenario.run(settings);
        outcome.figures[u"seconds"_s] = timer.elapsed() / 1000;
        std::printf("%s: %s\n", qPrintable(scenario.name), qPrintable(textOf(outcome.figures)));
        std::fflush(stdout);
        results += QJsonObject{{u"scenario"_s, scenario.name},
                               {u"figures"_s, outcome.figures},
                               {u"violations"_s, outcome.verdict.toJson()},
                               {u"examples"_s, QJsonArray::fromStringList(outcome.verdict.examples())}};
        verdict.add(outcome.verdict);
    }
    for (const QString &example : verdict.examples())
        std::printf("  %s\n", qPrintable(example));
    const QJsonObject result{{u"seed"_s, qint64(settings.seed)},
                             {u"quick"_s, parser.isSet(quick)},
                             {u"violations"_s, verdict.toJson()},
                             {u"scenarios"_s, results}};
    const bool isWritten = !parser.isSet(json) || write(parser.value(json), result);
    std::printf("%s\n", qPrintable(verdict.toString()));
    return verdict.isClean() && isWritten && !results.isEmpty() ? 0 : 1;
}
