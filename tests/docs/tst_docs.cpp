// SPDX-License-Identifier: MIT
#include <QtCore/qdiriterator.h>
#include <QtCore/qfile.h>
#include <QtCore/qfileinfo.h>
#include <QtCore/qregularexpression.h>
#include <QtCore/qset.h>
#include <QtTest/qtest.h>

using namespace Qt::StringLiterals;

namespace
{

const QString root = QStringLiteral(AMQPQT_SOURCE_DIR "/");

QString contentsOf(const QString &path)
{
    QFile file(path);
    return file.open(QIODevice::ReadOnly) ? QString::fromUtf8(file.readAll()) : QString();
}

struct Capability {
    QString id;
    QString state;
    QStringList tests; // "tst_file::function"
};

QStringList testsIn(const QString &text)
{
    static const QRegularExpression test(u"`(tst_\\w+::\\w+)`"_s);
    QStringList result;
    for (const QRegularExpressionMatch &name : test.globalMatch(text))
        result += name.captured(1);
    return result;
}

// The rows of the tables in docs/capabilities.md: | id | capability | state | tests |
QList<Capability> capabilities()
{
    static const QRegularExpression row(u"^\\| ([A-Z]\\d+) \\|[^|]*\\| *([^|]*?) *\\|([^|]*)\\|$"_s,
                                        QRegularExpression::MultilineOption);
    QList<Capability> result;
    for (const QRegularExpressionMatch &match : row.globalMatch(contentsOf(root + "docs/capabilities.md"_L1))) {
        result += {match.captured(1), match.captured(2), testsIn(match.captured(3))};
    }
    return result;
}

// All test functions, as tst_file::function.
QSet<QString> testFunctions()
{
    QSet<QString> result;
    QDirIterator files(root + "tests"_L1, {u"tst_*.cpp"_s}, QDir::Files, QDirIterator::Subdirectories);
    static const QRegularExpression definition(u"^void tst_\\w+::(\\w+)\\(\\)"_s, QRegularExpression::MultilineOption);
    while (files.hasNext()) {
        const QString path = files.next();
        for (const QRegularExpressionMatch &match : definition.globalMatch(contentsOf(path)))
            result += QFileInfo(path).baseName() + "::"_L1 + match.captured(1);
    }
    QDirIterator qmlFiles(root + "tests/qml"_L1, {u"tst_*.qml"_s}, QDir::Files);
    static const QRegularExpression qmlDefinition(u"^    function test_(\\w+)\\("_s,
                                                  QRegularExpression::MultilineOption);
    while (qmlFiles.hasNext()) {
        const QString path = qmlFiles.next();
        for (const QRegularExpressionMatch &match : qmlDefinition.globalMatch(contentsOf(path)))
            result += QFileInfo(path).baseName() + "::"_L1 + match.captured(1);
    }
    return result;
}

QString contentsOfFiles(const QString &folder, const QStringList &patterns)
{
    QString result;
    QDirIterator files(root + folder, patterns, QDir::Files, QDirIterator::Subdirectories);
    while (files.hasNext())
        result += contentsOf(files.next());
    return result;
}

struct Class {
    QString name;
    bool isElement = false; // of QML
    QString text;
};

// The classes of a header. Classes with signals or properties must not have nested classes.
QList<Class> classesOf(const QString &header)
{
    static const QRegularExpression definition(u"^(?:class|struct) (?:AMQPQT_EXPORT )?(\\w+)([^;]*?)\\{(.*?)^\\};"_s,
                                               QRegularExpression::MultilineOption |
                                                   QRegularExpression::DotMatchesEverythingOption);
    QList<Class> result;
    for (const QRegularExpressionMatch &match : definition.globalMatch(header))
        result += {match.captured(1), match.captured(2).contains("QmlElement"_L1), match.captured(3)};
    return result;
}

QStringList namesIn(const QString &text, const QRegularExpression &declaration)
{
    QStringList result;
    for (const QRegularExpressionMatch &match : declaration.globalMatch(text))
        result += match.captured(1);
    result.removeDuplicates();
    return result;
}

QStringList signalsOf(const Class &theClass)
{
    static const QRegularExpression section(u"^Q_SIGNALS:(.*?)(?:^\\w+:|\\z)"_s,
                                            QRegularExpression::MultilineOption |
                                                QRegularExpression::DotMatchesEverythingOption);
    static const QRegularExpression declaration(u"^    void (\\w+)\\("_s, QRegularExpression::MultilineOption);
    return namesIn(section.match(theClass.text).captured(1), declaration);
}

QStringList propertiesOf(const Class &theClass)
{
    static const QRegularExpression declaration(u"Q_PROPERTY\\([^)]*?(\\w+) (?:READ|MEMBER) "_s);
    return namesIn(theClass.text, declaration);
}

// Returns whether there is such an entry for the name, Class::member or Type::member.
bool hasEntry(const QString &reference, const QString &command, const QString &name)
{
    const QRegularExpression entry(u"^ +\\\\%1 .*\\b%2\\b"_s.arg(command, QRegularExpression::escape(name)),
                                   QRegularExpression::MultilineOption);
    return entry.match(reference).hasMatch();
}

QStringList pages()
{
    QStringList result;
    for (const QString &folder :
         {QString(), u"benchmarks"_s, u"docs"_s, u"docs/decisions"_s, u"examples"_s, u"src"_s}) {
        for (const QFileInfo &page : QDir(root + folder).entryInfoList({u"*.md"_s}, QDir::Files))
            result += page.filePath();
    }
    return result;
}

} // namespace

class tst_Docs : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void readmeHasAProgram();
    void capabilitiesAreNumberedWithoutGaps();
    void capabilitiesNameTestsThatExist_data();
    void capabilitiesNameTestsThatExist();
    void faultsOfOtherClientsNameTestsThatExist();
    void linksLeadToFiles_data();
    void linksLeadToFiles();
    void everyExampleIsListed();
    void referenceHasEverySignalAndProperty();
    void referenceHasEverythingOfQml();
    void decisionsAreNumberedWithoutGaps();
};

// tests/docs/readme.cmake compiles it.
void tst_Docs::readmeHasAProgram()
{
    static const QRegularExpression program(u"\n```cpp\n(.*?)\n```\n"_s,
                                            QRegularExpression::DotMatchesEverythingOption);
    const QRegularExpressionMatch match = program.match(contentsOf(root + "README.md"_L1));
    QVERIFY(match.hasMatch());
    QVERIFY(match.captured(1).contains("int main("_L1));
}

void tst_Docs::capabilitiesAreNumberedWithoutGaps()
{
    QMap<QChar, int> counts;
    for (const Capability &capability : capabilities())
        QCOMPARE(capability.id, capability.id.at(0) + QString::number(++counts[capability.id.at(0)]));
    QCOMPARE(counts.keys(), QList<QChar>({u'A', u'B', u'C', u'D', u'E', u'F', u'G', u'H'}));
}

void tst_Docs::capabilitiesNameTestsThatExist_data()
{
    QTest::addColumn<QString>("state");
    QTest::addColumn<QStringList>("tests");
    for (const Capability &capability : capabilities())
        QTest::newRow(qPrintable(capability.id)) << capability.state << capability.tests;
}

void tst_Docs::capabilitiesNameTestsThatExist()
{
    QFETCH(QString, state);
    QFETCH(QStringList, tests);
    static const QRegularExpression knownState(u"^(yes|partly|not yet)$"_s);
    QVERIFY2(knownState.match(state).hasMatch(), qPrintable(state));
    QCOMPARE(tests.isEmpty(), state == "not yet"_L1);

    static const QSet<QString> existing = testFunctions();
    for (const QString &test : tests)
        QVERIFY2(existing.contains(test), qPrintable(test));
}

// The rows of the table in docs/reliability.md: | id | behaviour | tests, or the reason why there are none |
void tst_Docs::faultsOfOtherClientsNameTestsThatExist()
{
    static const QRegularExpression row(u"^\\| R(\\d+) \\|[^|]*\\|([^|]*)\\|$"_s, QRegularExpression::MultilineOption);
    static const QRegularExpression reason(u"^ (not yet|not applicable): .*\\w"_s);
    const QSet<QString> existing = testFunctions();
    int number = 0;
    for (const QRegularExpressionMatch &match : row.globalMatch(contentsOf(root + "docs/reliability.md"_L1))) {
        QCOMPARE(match.captured(1).toInt(), ++number);
        const QString last = match.captured(2);
        const QStringList tests = testsIn(last);
        QVERIFY2(!tests.isEmpty() || last.contains("`chaos`"_L1) || reason.match(last).hasMatch(), qPrintable(last));
        for (const QString &test : tests)
            QVERIFY2(existing.contains(test), qPrintable(test));
    }
    QCOMPARE(number, 60);
}

void tst_Docs::linksLeadToFiles_data()
{
    QTest::addColumn<QString>("page");
    for (const QString &page : pages())
        QTest::newRow(qPrintable(page.sliced(root.size()))) << page;
}

void tst_Docs::linksLeadToFiles()
{
    QFETCH(QString, page);
    static const QRegularExpression code(u"```.*?```|`[^`\n]*`"_s, QRegularExpression::DotMatchesEverythingOption);
    static const QRegularExpression link(u"\\]\\(([^)#]+)"_s);
    const QString text = contentsOf(page).remove(code);
    QVERIFY(!text.isEmpty());
    for (const QRegularExpressionMatch &match : link.globalMatch(text)) {
        const QString target = match.captured(1);
        if (!target.startsWith("https://"_L1))
            QVERIFY2(QFileInfo::exists(QFileInfo(page).path() + u'/' + target), qPrintable(target));
    }
}

void tst_Docs::everyExampleIsListed()
{
    static const QRegularExpression example(u"^ *amqpqt_example\\((\\w+)"_s, QRegularExpression::MultilineOption);
    const QString list = contentsOf(root + "examples/README.md"_L1);
    int count = 0;
    for (const QRegularExpressionMatch &match : example.globalMatch(contentsOf(root + "examples/CMakeLists.txt"_L1))) {
        ++count;
        QVERIFY2(list.contains(u"| [%1](%1/main.cpp) |"_s.arg(match.captured(1))), qPrintable(match.captured(1)));
    }
    QVERIFY(count > 0);
}

// qdoc warns about undocumented functions, but not about signals that a property names.
void tst_Docs::referenceHasEverySignalAndProperty()
{
    const QString reference = contentsOfFiles(u"src/client"_s, {u"*.cpp"_s}) +
                              contentsOfFiles(u"src/models"_s, {u"*.cpp"_s}) +
                              contentsOfFiles(u"src/base"_s, {u"*.cpp"_s});
    QStringList missing;
    int count = 0;
    for (const Class &theClass : classesOf(contentsOfFiles(u"include/AmqpQt"_s, {u"*.h"_s}))) {
        for (const QString &name : signalsOf(theClass)) {
            ++count;
            const QString signal = "AmqpQt::"_L1 + theClass.name + "::"_L1 + name;
            if (!hasEntry(reference, u"fn"_s, signal))
                missing += "the signal "_L1 + signal;
        }
        for (const QString &name : propertiesOf(theClass)) {
            ++count;
            const QString property = "AmqpQt::"_L1 + theClass.name + "::"_L1 + name;
            if (!hasEntry(reference, u"property"_s, property) && !hasEntry(reference, u"variable"_s, property))
                missing += "the property "_L1 + property;
        }
    }
    QVERIFY(count > 50); // it reads the headers
    QVERIFY2(missing.isEmpty(), qPrintable(missing.join(u", "_s)));
}

void tst_Docs::referenceHasEverythingOfQml()
{
    static const QRegularExpression element(u"QML_NAMED_ELEMENT\\((\\w+)\\)|(QML_ELEMENT)"_s);
    static const QRegularExpression notifier(u"NOTIFY\\s+(\\w+)"_s);
    static const QRegularExpression method(u"Q_INVOKABLE\\s[^(]*?(\\w+)\\("_s);
    const QString reference = contentsOfFiles(u"qml"_s, {u"*.qdoc"_s});
    QStringList missing;
    int count = 0;
    const auto check = [&](const QString &type, const QString &command, const QStringList &names) {
        for (const QString &name : names) {
            ++count;
            if (!hasEntry(reference, command, type + "::"_L1 + name))
                missing += command + u' ' + type + "::"_L1 + name;
        }
    };
    QStringList common; // the properties of every element that is created for a connection
    const QList<Class> classes = classesOf(contentsOfFiles(u"qml"_s, {u"*.h"_s}));
    for (const Class &theClass : classes) {
        if (theClass.name == "QmlElement"_L1)
            common = propertiesOf(theClass);
    }
    QVERIFY(!common.isEmpty());
    for (const Class &theClass : classes) {
        const QRegularExpressionMatch registration = element.match(theClass.text);
        if (!registration.hasMatch())
            continue;
        const QString type = registration.captured(1).isEmpty() ? theClass.name : registration.captured(1);
        check(type, u"qmlproperty"_s, propertiesOf(theClass) + (theClass.isElement ? common : QStringList()));
        check(type, u"qmlmethod"_s, namesIn(theClass.text, method));
        const QStringList notifiers = namesIn(theClass.text, notifier);
        QStringList ownSignals = signalsOf(theClass);
        ownSignals.removeIf([&](const QString &name) { return notifiers.contains(name); });
        check(type, u"qmlsignal"_s, ownSignals);
    }
    static const QRegularExpression property(u"^    (?:required |readonly )*property \\S+ (\\w+)"_s,
                                             QRegularExpression::MultilineOption);
    for (const QFileInfo &file : QDir(root + "qml"_L1).entryInfoList({u"*.qml"_s}, QDir::Files))
        check(file.baseName(), u"qmlproperty"_s, namesIn(contentsOf(file.filePath()), property));
    QVERIFY(count > 50); // it reads the headers
    QVERIFY2(missing.isEmpty(), qPrintable(missing.join(u", "_s)));
}

void tst_Docs::decisionsAreNumberedWithoutGaps()
{
    int number = 0;
    const QFileInfoList files = QDir(root + "docs/decisions"_L1).entryInfoList({u"*.md"_s}, QDir::Files, QDir::Name);
    for (const QFileInfo &file : files) {
        ++number;
        QVERIFY2(file.fileName().startsWith(u"%1-"_s.arg(number, 4, 10, QChar(u'0'))), qPrintable(file.fileName()));
        QVERIFY(contentsOf(file.filePath()).startsWith(u"# %1. "_s.arg(number)));
    }
    QVERIFY(number > 0);
}

QTEST_APPLESS_MAIN(tst_Docs)
#include "tst_docs.moc"
